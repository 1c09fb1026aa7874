// Does what a test wants with the example's client, one call after another, and tells of each: what
// it gave, or its error. `plain` launches past the example, with the parameters as a plain object.
// `tls` is in PEM: an authority, and maybe a key and a certificate.
'use strict';

const { example, encrypted, connect, ask, wanted } = require('./supervisor');

// What JSON has no way to say, for parameters that cannot be sent.
const ODD = { bigint: 1n, date: new Date(0), function: () => 0, hole: [undefined] };

async function main() {
  const { address, seconds, calls, token, tls } = wanted();
  const encryption = tls && encrypted(...tls);
  const supervisor = new example.Supervisor(address, { seconds, token, encryption });
  const client = connect(address);
  const more = {
    odd: (kind) =>
      supervisor.launch({ name: 'timer', identifier: 'x', params: { odd: ODD[kind] } }),
    plain: (request) => ask(client, 'LaunchJob', request),
  };
  const told = [];
  for (const [method, ...given] of calls) {
    const call = more[method] ?? supervisor[method].bind(supervisor);
    try {
      told.push({ gave: (await call(...given)) ?? null });
    } catch (error) {
      const { code = null, message } = error;
      told.push({ error: error.constructor.name, code, message });
    }
  }
  process.stdout.write(JSON.stringify(told));
  supervisor.close();
  client.close();
}

main();
