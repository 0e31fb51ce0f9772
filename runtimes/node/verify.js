'use strict';
// The check at registration: does every script of the bundle compile? What stands in node_modules
// is others' work and may contain anything.

const fs = require('fs');
const path = require('path');
const vm = require('vm');
const { clean } = require('./failure');

const WRAPPER = ['exports', 'require', 'module', '__filename', '__dirname'];

function* scripts(folder) {
  for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
    const file = path.join(folder, entry.name);
    if (entry.isDirectory() && entry.name !== 'node_modules') yield* scripts(file);
    else if (entry.isFile() && /\.[cm]?js$/.test(entry.name)) yield file;
  }
}

function readSource(file) {
  return fs.readFileSync(file, 'utf8').replace(/^\ufeff/, '').replace(/^#!.*/, '');
}

function withoutFrames(stack) {
  return clean(stack).replace(/^\s+at .*\n?/gm, '').replace(/\n*(Node\.js v\S+\s*)?$/, '\n');
}

// The compiler's words, or "".
function compileScript(file) {
  try {
    vm.compileFunction(readSource(file), WRAPPER, { filename: file });
    return '';
  } catch (error) {
    return withoutFrames(error.stack);
  }
}

// Node compiles modules without running them only behind a flag, and shows the place of an error
// only when it ends the process: hence a second one.
function compileModules(files) {
  const { spawnSync } = require('child_process');
  const flags = ['--experimental-vm-modules', '--no-warnings'];
  const script = path.join(__dirname, 'verify_modules.js');
  const child = spawnSync(process.execPath, [...flags, script, ...files], { encoding: 'utf8' });
  if (child.error) throw child.error;
  return child.status === 0 ? '' : withoutFrames(child.stderr);
}

// What the compiler says about the scripts that it refuses; "" when all is well.
function compileAll(code, isModule) {
  const files = [...scripts(code)];
  const modules = files.filter(isModule);
  const problems = modules.length > 0 ? [compileModules(modules)] : [];
  for (const file of files.filter((each) => !isModule(each))) {
    const problem = compileScript(file);
    // A .js file that is no script may still be a module: newer Nodes go by the syntax.
    const isModuleAfterAll = () => file.endsWith('.js') && compileModules([file]) === '';
    if (problem !== '' && !isModuleAfterAll()) problems.push(problem);
  }
  return problems.join('');
}

module.exports = { compileAll, readSource };
