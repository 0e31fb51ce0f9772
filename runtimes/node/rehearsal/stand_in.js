'use strict';
// What the nursery loads in place of a function's script.

exports.handle = (event) => {
  console.log('rehearsing %s', typeof event);
  return event;
};

exports.handleHttp = async (event) => ({
  statusCode: 200,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(event),
});

exports.handleLater = async (event) => event;
