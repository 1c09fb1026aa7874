// The Area backend's port for workers, with the stock grpc-js: says its address, then each call.
'use strict';

const path = require('node:path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const PROTO = path.join(__dirname, '..', '..', 'proto');
const definition = loader.loadSync('area_back.proto', { includeDirs: [PROTO], keepCase: true });
const { AreaBackService } = grpc.loadPackageDefinition(definition).area_back;
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

const server = new grpc.Server();
server.addService(AreaBackService.service, {
  OnError: ({ request }, callback) => {
    say(request);
    callback(null, {});
  },
});
server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  server.start();
  say(`127.0.0.1:${port}`);
});
