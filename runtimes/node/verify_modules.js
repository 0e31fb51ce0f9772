'use strict';
// Runs in a child process of verify.js: compiles the ES modules that its arguments name, without
// running them. An error is left to Node, which prints its line and a caret.

const vm = require('vm');
const { readSource } = require('./verify');

for (const file of process.argv.slice(2)) {
  new vm.SourceTextModule(readSource(file), { identifier: file });
}
