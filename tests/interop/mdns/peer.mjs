// Runs the mDNS discovery of js-libp2p alone and says on stdout what it finds:
//   ready
//   found PEER ADDRESS...
//
//   node peer.mjs NODE_MODULES ADDRESS/p2p/PEER
//
// NODE_MODULES is where the npm packages are; the address is what it announces. Ends on SIGTERM.

import fs from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

const [modules, announced] = process.argv.slice(2)
if (announced === undefined) {
  console.error('usage: peer.mjs NODE_MODULES ADDRESS/p2p/PEER')
  process.exit(2)
}

// The packages stand outside the source tree, where an import statement does not look.
async function load (name) {
  const root = path.join(modules, name)
  const manifest = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'))
  return import(pathToFileURL(path.join(root, manifest.exports['.'].import)).href)
}
const { mdns } = await load('@libp2p/mdns')
const { multiaddr } = await load('@multiformats/multiaddr')

const log = Object.assign(() => {}, {
  error: (...parts) => console.error('js-libp2p:', ...parts),
  trace: () => {}
})
const discovery = mdns()({
  addressManager: { getAddresses: () => [multiaddr(announced)] },
  logger: { forComponent: () => log }
})
discovery.addEventListener('peer', ({ detail }) => {
  console.log(['found', detail.id, ...detail.multiaddrs].join(' '))
})
process.on('SIGTERM', async () => {
  await discovery.stop()
  process.exit(0)
})
await discovery.start()
console.log('ready')
