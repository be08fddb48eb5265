// Compares the CIDs that Warren gives with those of ipfs-unixfs-importer, over folders and files
// made here.
//
//   node compare.mjs NODE_MODULES UNIXFS_CID [FOLDER]
//
// NODE_MODULES is where the npm packages are, UNIXFS_CID the program of unixfs_cid.cpp. With
// FOLDER, that folder is compared instead. Prints a line a case and ends with 0 if all agree.

import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

const [modules, unixfsCid, onlyFolder] = process.argv.slice(2)
if (unixfsCid === undefined) {
  console.error('usage: compare.mjs NODE_MODULES UNIXFS_CID [FOLDER]')
  process.exit(2)
}

// The packages stand outside the source tree, where an import statement does not look.
async function load (name, entry = '.') {
  const root = path.join(modules, name)
  const manifest = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'))
  const exported = manifest.exports[entry]
  const file = exported.import?.default ?? exported.import ?? exported
  return import(pathToFileURL(path.join(root, file)).href)
}
const { importer } = await load('ipfs-unixfs-importer')
const { BlackHoleBlockstore } = await load('blockstore-core', './black-hole')

const MIB = 1 << 20

function * chunksOf (file) {
  const fd = fs.openSync(file, 'r')
  try {
    for (;;) {
      const buffer = Buffer.alloc(MIB)
      const n = fs.readSync(fd, buffer)
      if (n === 0) return
      yield buffer.subarray(0, n)
    }
  } finally {
    fs.closeSync(fd)
  }
}

// Everything below `target`, as import candidates under the name `as`.
function * candidates (target, as) {
  const stat = fs.lstatSync(target)
  if (stat.isSymbolicLink()) {
    yield { path: as, link: fs.readlinkSync(target) }
  } else if (stat.isFile()) {
    yield { path: as, content: chunksOf(target) }
  } else if (stat.isDirectory()) {
    const names = fs.readdirSync(target)
    if (names.length === 0) yield { path: as }
    for (const name of names) yield * candidates(path.join(target, name), `${as}/${name}`)
  }
}

async function theirs (target) {
  const options = { profile: 'unixfs-v1-2025' }
  let last
  for await (const entry of importer(candidates(target, 'root'), new BlackHoleBlockstore(), options)) {
    last = entry
  }
  return last.cid.toString()
}

function ours (target) {
  return execFileSync(unixfsCid, [target], { encoding: 'utf8' }).trim()
}

// ------------------------------------------------------------------------------------- cases

// The same bytes on every run, from a linear congruence: chunks must only differ.
function bytes (count, seed) {
  const out = Buffer.alloc(count)
  let state = (seed * 2654435761) >>> 0
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    out[i] = state >>> 24
  }
  return out
}

function makeCases (root) {
  const cases = []
  const file = (name, content) => {
    fs.writeFileSync(path.join(root, name), content)
    cases.push(name)
  }
  const folder = (name, fill) => {
    const target = path.join(root, name)
    fs.mkdirSync(target)
    fill((inside, content) => {
      const full = path.join(target, inside)
      fs.mkdirSync(path.dirname(full), { recursive: true })
      fs.writeFileSync(full, content)
    }, target)
    cases.push(name)
  }

  file('empty-file', '')
  file('one-byte', 'a')
  file('mib-minus-1', bytes(MIB - 1, 1))
  file('mib', bytes(MIB, 2))
  file('mib-plus-1', bytes(MIB + 1, 3))
  file('three-chunks', bytes(2 * MIB + 17, 4))
  for (const [name, size] of [['mib-1024', 1024 * MIB], ['mib-1025', 1025 * MIB]]) {
    const fd = fs.openSync(path.join(root, name), 'w')
    fs.ftruncateSync(fd, size)  // Sparse: the same leaf again and again.
    fs.closeSync(fd)
    cases.push(name)
  }
  folder('empty-folder', () => {})
  folder('files-3000', (write) => {
    for (let i = 0; i < 3000; i++) write(`file-${i}.txt`, `content of file ${i}\n`)
  })
  folder('unicode', (write) => {
    for (const name of ['gr\u00fc\u00dfe.txt', 'gru\u0308\u00dfe-nfd.txt', '\u65e5\u672c\u8a9e', '\u{1f98a}.bin',
      '\u0395\u03bb\u03bb\u03b7\u03bd\u03b9\u03ba\u03ac', ' leading space', 'trailing ', 'new\nline', 'back\\slash',
      'a', 'B', 'b', '\uffff', '\u{10000}']) write(name, name)
  })
  folder('nested', (write, target) => {
    write('a/b/c/d/e/f.txt', 'deep')
    write('a/b/one.bin', bytes(MIB + 5, 5))
    write('a/x', 'x')
    write('z/y', 'y')
    write('top', 'top')
    fs.mkdirSync(path.join(target, 'a/empty'))
  })
  folder('hidden', (write, target) => {
    write('.hidden', 'h')
    write('.config/.deep', 'd')
    fs.mkdirSync(path.join(target, '.empty'))
  })
  folder('symlinks', (write, target) => {
    write('file', 'content')
    write('dir/inner', 'inner')
    for (const [name, to] of [['relative', 'file'], ['up', '../outside'], ['absolute', '/etc/passwd'],
      ['dangling', 'nothing/here'], ['to-dir', 'dir'], ['dir/back', '../file']]) {
      fs.symlinkSync(to, path.join(target, name))
    }
  })
  folder('same-twice', (write) => {
    for (const copy of ['one', 'two', 'three/four']) {
      write(`${copy}/data`, bytes(MIB + 9, 6))
      write(`${copy}/text`, 'text')
    }
  })
  // A name of n bytes costs n + 44 bytes of block up to 81, n + 45 up to 124 with the size of a
  // small file; an empty directory is 4 bytes. So these two stand on either side of the bound.
  for (const [name, last] of [['basic-262144', 81], ['hamt-262145', 82]]) {
    folder(name, (write) => {
      for (let i = 0; i < 1807; i++) write(String(i).padStart(100, 'n'), 'x')
      write('m'.repeat(last), 'x')
    })
  }
  folder('hamt-6000', (write) => {
    for (let i = 0; i < 6000; i++) write(`a rather long name so that the block grows ${i * 7919}.dat`, `${i}`)
  })
  folder('hamt-mixed', (write, target) => {
    for (let i = 0; i < 5000; i++) write(`a rather long name so that the block grows ${i * 104729}.dat`, `${i}`)
    for (let i = 0; i < 40; i++) write(`subfolder ${i}/inside`, `${i}`)
    write('large', bytes(MIB + 1, 7))
    fs.symlinkSync('large', path.join(target, 'link'))
    fs.mkdirSync(path.join(target, 'empty'))
  })
  return cases
}

const root = onlyFolder ?? fs.mkdtempSync(path.join(os.tmpdir(), 'warren-unixfs-'))
let failed = 0
try {
  for (const name of onlyFolder === undefined ? makeCases(root) : ['.']) {
    const target = path.join(root, name)
    const [a, b] = [ours(target), await theirs(target)]
    if (a !== b) failed++
    console.log(`${a === b ? 'same' : 'DIFFERENT'}  ${name}  ${a}${a === b ? '' : `  theirs: ${b}`}`)
  }
} finally {
  if (onlyFolder === undefined) fs.rmSync(root, { recursive: true })
}
console.log(failed === 0 ? 'all the same' : `${failed} differ`)
process.exit(failed === 0 ? 0 : 1)
