// The supervisor's client as a Node backend has it: the stock grpc-js, the contract from proto/.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const PROTO = path.join(__dirname, '..', '..', 'proto');

const definition = loader.loadSync('area_supervisor.proto', { includeDirs: [PROTO], keepCase: true });
const { AreaSupervisorService } = grpc.loadPackageDefinition(definition).area_supervisor;

// A client with these channel options; none are grpc-js' defaults.
function connect(address, options = {}) {
  return new AreaSupervisorService(address, grpc.credentials.createInsecure(), options);
}

// A call as a promise. As in the Area backend, an error in the answer is thrown like any other.
function ask(client, method, request, { metadata = new grpc.Metadata(), seconds } = {}) {
  const options = seconds === undefined ? {} : { deadline: Date.now() + 1000 * seconds };
  return new Promise((resolve, reject) => {
    client[method](request, metadata, options, (error, answer) => {
      if (error) reject(error);
      else if (answer.error) reject(new Error(`${answer.error.code} ${answer.error.message}`));
      else resolve(answer);
    });
  });
}

// Plain values as a google.protobuf.Struct.
function struct(values) {
  const fields = Object.entries(values).map(([key, value]) => [key, { stringValue: value }]);
  return { fields: Object.fromEntries(fields) };
}

// What the test wants, as JSON on standard input.
function wanted() {
  return JSON.parse(fs.readFileSync(0, 'utf8'));
}

module.exports = { grpc, connect, ask, struct, wanted };
