// The Node handler in a fresh interpreter: the payload on stdin, the body on stdout.
const fs = require('fs');
const { handle } = require('./handler.js');

handle({ body: fs.readFileSync(0, 'utf8') }, {}).then((answer) => fs.writeSync(1, answer.body));
