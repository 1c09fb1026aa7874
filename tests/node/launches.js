// Launches one reaction after another, and tells of each in a line of JSON: how it ended, and when.
// `bridging` is the example's client, which waits, retries and sends keys; otherwise grpc-js has
// its defaults. An error is told and not thrown, so that the test sees each.
'use strict';

const { setTimeout: pause } = require('node:timers/promises');
const { example, connect, ask, wanted } = require('./supervisor');

// A function that launches, and one that closes its client.
function launcher(address, bridging) {
  if (bridging) {
    const supervisor = new example.Supervisor(address);
    return [(request) => supervisor.launch(request), () => supervisor.close()];
  }
  const client = connect(address);
  return [(request) => ask(client, 'LaunchJob', request), () => client.close()];
}

async function main() {
  const { address, bridging, many, milliseconds } = wanted();
  const [launch, close] = launcher(address, bridging);
  for (let n = 0; n < many; n++) {
    const told = { identifier: `m-${n}`, code: 0, began: Date.now() };
    try {
      await launch({ name: 'mail', identifier: told.identifier });
    } catch (error) {
      Object.assign(told, { code: error.code ?? -1, error: error.message });
    }
    told.ended = Date.now();
    process.stdout.write(`${JSON.stringify(told)}\n`);
    await pause(milliseconds);
  }
  close();
}

main();
