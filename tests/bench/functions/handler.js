// The handler that magpie and the plain Node server both run.
exports.handle = async (event) => ({
  statusCode: 200,
  headers: { 'content-type': 'application/json' },
  body: event.body,
});
