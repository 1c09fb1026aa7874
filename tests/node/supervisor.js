// The supervisor's client as the Area backend has it: the stock grpc-js with its default options.
'use strict';

const fs = require('node:fs');
const grpc = require('@grpc/grpc-js');
const example = require('../../examples/clients/supervisor');

// A client with grpc-js' own defaults.
function connect(address) {
  return new example.AreaSupervisorService(address, grpc.credentials.createInsecure());
}

// Credentials of texts in PEM.
function encrypted(...texts) {
  return grpc.credentials.createSsl(...texts.map((text) => Buffer.from(text)));
}

// A call as a promise. As in the Area backend, an error in the answer is thrown like any other.
function ask(client, method, request) {
  return new Promise((resolve, reject) => {
    client[method](request, (error, answer) => {
      if (error) reject(error);
      else if (answer.error) reject(new example.SupervisorError(answer.error));
      else resolve(answer);
    });
  });
}

// What the test wants, as JSON on standard input.
function wanted() {
  return JSON.parse(fs.readFileSync(0, 'utf8'));
}

module.exports = { example, encrypted, connect, ask, wanted };
