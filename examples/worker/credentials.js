// The credentials of a worker, wherever the catalogue's key `auth` puts them. To copy.
'use strict';

const { readFileSync } = require('node:fs');

// `options` are the arguments, by their keys without dashes. The variable is removed: programs that
// are started from here would inherit it.
function credentials(options) {
  const variable = process.env.AREA_AUTH ?? '{}';
  delete process.env.AREA_AUTH;
  if (options.auth !== undefined) return JSON.parse(options.auth);
  const path = options['auth-file'];
  return JSON.parse(path === undefined ? variable : readFileSync(path, 'utf8'));
}

module.exports = { credentials };
