// A service that answers as Apple documents, over the HTTP/2 of Node.
// node apns.js CERT KEY PUBLIC: prints its port, and what it took as a line of JSON each.
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const http2 = require('http2');

const [cert, key, publicKey] = process.argv.slice(2).map((f) => fs.readFileSync(f));

function proved(header) {
  const [head, claims, signature] = header.replace(/^bearer /, '').split('.');
  const ok = crypto.verify('sha256', Buffer.from(`${head}.${claims}`), {key: publicKey, dsaEncoding: 'ieee-p1363'}, Buffer.from(signature, 'base64url'));
  return ok && JSON.parse(Buffer.from(head, 'base64url')).kid === 'KEY1234567' && JSON.parse(Buffer.from(claims, 'base64url')).iss === 'TEAM123456';
}

// By the last digit of the device's token.
const refusals = {
  1: [410, {reason: 'Unregistered', timestamp: 1772000000000}],
  2: [400, {reason: 'BadDeviceToken'}],
  3: [429, {reason: 'TooManyRequests'}],
  4: [503, {reason: 'ServiceUnavailable'}],
  5: [500, {reason: 'InternalServerError'}],
  6: [403, {reason: 'ExpiredProviderToken'}],
};

const server = http2.createSecureServer({cert, key});
server.on('session', (session) => {
  session.on('error', () => {});
});
server.on('stream', (stream, headers) => {
  stream.on('error', () => {});
  let body = '';
  stream.setEncoding('utf8');
  stream.on('data', (part) => { body += part; });
  stream.on('end', () => {
    const device = headers[':path'].replace('/3/device/', '');
    const last = device.slice(-1);
    if (!proved(headers.authorization || '')) {
      stream.respond({':status': 403, 'apns-id': headers['apns-id']});
      stream.end(JSON.stringify({reason: 'InvalidProviderToken'}));
      return;
    }
    if (refusals[last]) {
      stream.respond({':status': refusals[last][0], 'apns-id': headers['apns-id']});
      stream.end(JSON.stringify(refusals[last][1]));
      return;
    }
    process.stdout.write(JSON.stringify({device, headers: Object.assign({}, headers), body: JSON.parse(body)}) + '\n');
    if (last === '7') { // takes it and goes away
      stream.session.goaway();
      stream.session.destroy();
      return;
    }
    stream.respond({':status': 200, 'apns-id': headers['apns-id']});
    stream.end();
  });
});
server.listen(0, '127.0.0.1', () => process.stdout.write(server.address().port + '\n'));
