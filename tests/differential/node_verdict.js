// What Node's HTTP server makes of the bytes of one connection. Reads a JSON object from stdin, name
// -> base64 of the bytes, and writes one, name -> {messages: [[method, target, body in hexadecimal]],
// verdict: "end" | "incomplete" | "refused CODE"}.
'use strict';
const http = require('http');
const net = require('net');

const ANSWER = 299; // no status that Node gives by itself
const DEADLINE_MS = 10000;
const connections = new Map(); // the client's port -> what the server saw of it

function onRequest(request, response) {
  const connection = connections.get(request.socket.remotePort);
  const body = [];
  connection.open++;
  request.on('data', (piece) => body.push(piece));
  request.on('end', () => {
    connection.open--;
    connection.messages.push([request.method, request.url, Buffer.concat(body).toString('hex')]);
    response.writeHead(ANSWER).end();
  });
}

function onClientError(error, socket) {
  const connection = connections.get(socket.remotePort);
  // The error of bytes that end inside a message.
  if (error.code === 'HPE_INVALID_EOF_STATE') connection.verdict = 'incomplete';
  else if (error.code !== 'ECONNRESET') connection.verdict = `refused ${error.code}`;
  socket.destroy();
}

function judge(bytes, port) {
  return new Promise((resolve, reject) => {
    const connection = {messages: [], open: 0, verdict: null};
    let answers = '';
    const client = net.connect(port, '127.0.0.1', () => {
      connections.set(client.localPort, connection);
      client.end(bytes);
    });
    client.setTimeout(DEADLINE_MS, () => reject(new Error('no verdict')));
    client.on('data', (piece) => { answers += piece.toString('latin1'); });
    client.on('error', () => {}); // a reset: the server refused and closed
    client.on('close', () => {
      // Some refusals are answers that Node gives without asking the handler.
      const own = [...answers.matchAll(/^HTTP\/1\.1 (\d+)/gm)].map((match) => Number(match[1]))
        .find((status) => status >= 200 && status !== ANSWER);
      const verdict = connection.verdict || (own ? `refused ${own}` : null) ||
        (connection.open > 0 ? 'incomplete' : 'end');
      resolve({messages: connection.messages, verdict});
    });
  });
}

async function main() {
  const cases = JSON.parse(require('fs').readFileSync(0, 'utf8'));
  const server = http.createServer({insecureHTTPParser: false}, onRequest);
  const verdicts = {};
  server.on('clientError', onClientError);
  // A tunnel is not offered: no answer but the end.
  server.on('connect', (request, socket) => {
    connections.get(socket.remotePort).verdict = 'refused CONNECT';
    socket.destroy();
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  for (const [name, bytes] of Object.entries(cases)) {
    verdicts[name] = await judge(Buffer.from(bytes, 'base64'), server.address().port);
  }
  server.close();
  process.stdout.write(JSON.stringify(verdicts));
}

main();
