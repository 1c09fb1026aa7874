// What the Area backend asks of the supervisor, in its order and with its default options: its
// start, a workflow that is switched off and on again, and the end of one that never ran.
// Any error is thrown, and ends the process with 1.
'use strict';

const { example, connect, ask, wanted } = require('./supervisor');

async function main() {
  const { address, workflows, toggled, never } = wanted();
  const client = connect(address);
  const { toStruct } = example;
  const launch = ({ name, identifier, params, auth }) =>
    ask(client, 'LaunchJob', { name, identifier, params: toStruct(params), auth: toStruct(auth) });

  await ask(client, 'KillAllJobs', {});
  for (const workflow of workflows) await launch(workflow);

  for (const index of toggled) {
    await ask(client, 'KillJob', { identifier: workflows[index].identifier });
    await launch(workflows[index]);
  }
  for (const identifier of never) await ask(client, 'KillJob', { identifier });

  const { jobs } = await ask(client, 'ListJobs', {});
  process.stdout.write(JSON.stringify(jobs));
  client.close();
}

main().catch((error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
});
