// A client of the supervisor for Node, to copy. docs/backends.md has the reasons.
//
//   npm ci --prefix examples/clients
//   node examples/clients/supervisor.js localhost:50051
'use strict';

const { randomUUID } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const PROTO = path.join(__dirname, '..', '..', 'proto');
// With the defaults an empty list of jobs is [], and not undefined.
const LOADING = { includeDirs: [PROTO, __dirname], keepCase: true, enums: String, defaults: true };
const load = (file) => grpc.loadPackageDefinition(loader.loadSync(file, LOADING));
const { AreaSupervisorService } = load('area_supervisor.proto').area_supervisor;
const { Health } = load('health.proto').grpc.health.v1;

// Bridges a restart of the supervisor, together with waitForReady. A call that arrives while gRPC
// closes the connection ends with CANCELLED.
const OPTIONS = {
  'grpc.service_config': JSON.stringify({
    methodConfig: [
      {
        name: [{ service: 'area_supervisor.AreaSupervisorService' }],
        retryPolicy: {
          maxAttempts: 5,
          initialBackoff: '0.2s',
          maxBackoff: '5s',
          backoffMultiplier: 2,
          retryableStatusCodes: ['UNAVAILABLE', 'CANCELLED'],
        },
      },
    ],
  }),
  'grpc.max_reconnect_backoff_ms': 2000,
  'grpc.dns_min_time_between_resolutions_ms': 1000,
};
// A supervisor that is stopping answers a launch that waits for its turn with this code. gRPC's own
// retries do not see it.
const STOPPING = 503;
const PAUSE = 500; // milliseconds

// A request that the supervisor has refused; `code` is the answer's, such as 404.
// Whatever else fails is an error of grpc-js, whose `code` is a gRPC status, such as 14.
class SupervisorError extends Error {
  constructor({ code, message }) {
    super(`${code} ${message}`);
    this.name = 'SupervisorError';
    this.code = code;
  }
}

class Supervisor {
  #supervisor;
  #health;
  #seconds;
  #identity;

  // `seconds` is the deadline of each call. It has to cover a restart and a launch.
  // `token` says who calls. `encryption` is grpc.credentials.createSsl(ca, key, chain), with the
  // authority of the supervisor, and a certificate for this client if the supervisor asks for one.
  // Without it, a token can be read on its way.
  constructor(address, { seconds = 60, token, encryption } = {}) {
    const credentials = encryption ?? grpc.credentials.createInsecure();
    this.#supervisor = new AreaSupervisorService(address, credentials, OPTIONS);
    this.#health = new Health(address, credentials, OPTIONS);
    this.#seconds = seconds;
    this.#identity = token ? { authorization: `Bearer ${token}` } : {};
  }

  // A key stands for one launch. To try a launch again, pass the key of the first try.
  async launch({ name, identifier, params = {}, auth = {}, key = randomUUID() }) {
    const request = { name, identifier, params: toStruct(params), auth: toStruct(auth) };
    const until = Date.now() + 1000 * this.#seconds;
    for (;;) {
      try {
        await this.#ask(this.#supervisor, 'LaunchJob', request, { 'idempotency-key': key });
        return;
      } catch (error) {
        const stopping = error instanceof SupervisorError && error.code === STOPPING;
        if (!stopping || Date.now() > until) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }

  async kill(identifier) {
    await this.#ask(this.#supervisor, 'KillJob', { identifier });
  }

  async killAll() {
    await this.#ask(this.#supervisor, 'KillAllJobs', {});
  }

  // Each job has a name, an identifier and a status.
  async jobs() {
    const { jobs } = await this.#ask(this.#supervisor, 'ListJobs', {});
    return jobs;
  }

  // 'SERVING' or 'NOT_SERVING'. '' asks whether it is ready, 'liveness' whether it lives.
  async health(service = '') {
    const { status } = await this.#ask(this.#health, 'Check', { service });
    return status;
  }

  close() {
    this.#supervisor.close();
    this.#health.close();
  }

  #ask(client, method, request, headers = {}) {
    const metadata = new grpc.Metadata({ waitForReady: true });
    for (const [name, value] of Object.entries({ ...this.#identity, ...headers })) {
      metadata.set(name, value);
    }
    const deadline = Date.now() + 1000 * this.#seconds;
    return new Promise((resolve, reject) => {
      client[method](request, metadata, { deadline }, (error, answer) => {
        if (error) reject(error);
        else if (answer.error) reject(new SupervisorError(answer.error));
        else resolve(answer);
      });
    });
  }
}

// A plain object as a google.protobuf.Struct. @grpc/proto-loader does not convert one: it would
// send an empty Struct, and the worker would get no parameters.
function toStruct(object) {
  const entries = Object.entries(object).filter(([, value]) => value !== undefined);
  return { fields: Object.fromEntries(entries.map(([key, value]) => [key, toValue(value)])) };
}

function toValue(value) {
  if (value === null) return { nullValue: 'NULL_VALUE' };
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'number') return { numberValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  if (Array.isArray(value)) return { listValue: { values: value.map(toValue) } };
  if (Object.prototype.toString.call(value) === '[object Object]') {
    return { structValue: toStruct(value) };
  }
  // A bigint, a Date, undefined in a list: a Struct has nothing for them. Pass a string instead.
  throw new TypeError(`a parameter cannot be a ${value?.constructor?.name ?? typeof value}`);
}

// Launches the example workers: see examples/worker/README.md for their image. SUPERVISOR_TOKEN and
// SUPERVISOR_CA_FILE are for a supervisor with an access file and TLS.
async function main(address) {
  const { SUPERVISOR_TOKEN: token, SUPERVISOR_CA_FILE: file } = process.env;
  const encryption = file && grpc.credentials.createSsl(fs.readFileSync(file));
  const supervisor = new Supervisor(address, { token, encryption });
  const timer = 'timer-seconds-interval';
  const message = 'console-send-message';
  try {
    console.log(`health: ${await supervisor.health()}`);
    await supervisor.launch({ name: timer, identifier: `${timer}-42`, params: { seconds: 5 } });

    const reaction = { name: message, identifier: `${message}-42`, params: { message: 'Hello' } };
    const key = randomUUID();
    await supervisor.launch({ ...reaction, key });
    await supervisor.launch({ ...reaction, key }); // tried again: it has run once

    for (const { identifier } of await supervisor.jobs()) console.log(`launched: ${identifier}`);

    try {
      await supervisor.launch({ name: 'unheard-of', identifier: 'x' });
    } catch (error) {
      if (!(error instanceof SupervisorError)) throw error;
      console.log(`refused: ${error.code}`); // and its message says why
    }

    for (const name of [timer, message]) await supervisor.kill(`${name}-42`);
    console.log(`left: ${(await supervisor.jobs()).length}`);
  } finally {
    supervisor.close();
  }
}

if (require.main === module) {
  main(process.argv[2] ?? 'localhost:50051').catch((error) => {
    console.error(`${error.name}: ${error.message}`);
    process.exitCode = 1;
  });
}

module.exports = { AreaSupervisorService, Supervisor, SupervisorError, toStruct };
