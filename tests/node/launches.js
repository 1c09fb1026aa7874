// Launches one reaction after another, and tells of each in a line of JSON: how it ended, and when.
// `wait` lets a call wait for a connection, `keyed` sends an idempotency-key, `options` are the
// channel's. An error is told and not thrown, so that the test sees each.
'use strict';

const { randomUUID } = require('node:crypto');
const { setTimeout: pause } = require('node:timers/promises');
const { grpc, connect, ask, struct, wanted } = require('./supervisor');

async function main() {
  const { address, options, wait, keyed, seconds, many, milliseconds } = wanted();
  const client = connect(address, options);
  for (let n = 0; n < many; n++) {
    const metadata = new grpc.Metadata({ waitForReady: wait });
    if (keyed) metadata.set('idempotency-key', randomUUID());
    const request = { name: 'mail', identifier: `m-${n}`, params: struct({}), auth: struct({}) };
    const told = { identifier: request.identifier, code: 0, began: Date.now() };
    try {
      await ask(client, 'LaunchJob', request, { metadata, seconds });
    } catch (error) {
      Object.assign(told, { code: error.code ?? -1, error: error.message });
    }
    told.ended = Date.now();
    process.stdout.write(`${JSON.stringify(told)}\n`);
    await pause(milliseconds);
  }
  client.close();
}

main();
