// A sign-on provider for the tests: real protocol, invented people.
//
// In: PORT of the address it answers at, REDIRECT_URL of its one client, and PEOPLE as JSON, the claims of each by the
// name typed into its form. Out: a line with its issuer on stdout once it answers.

import Provider from 'oidc-provider';

const { PORT, REDIRECT_URL, PEOPLE } = process.env;
const issuer = `http://127.0.0.1:${PORT}`;
const people = JSON.parse(PEOPLE);

const provider = new Provider(issuer, {
  clients: [{ client_id: 'gloria', client_secret: 'a secret: with/odd characters', redirect_uris: [REDIRECT_URL] }],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
  // As strict as it gets: without PKCE there is no code.
  pkce: { required: () => true },
  findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id, ...people[id] }) }),
});

provider.listen(Number(PORT), '127.0.0.1', () => process.stdout.write(`${issuer}\n`));
