// A message centre for tests: node-smpp speaks the protocol, this file misbehaves as told. Options are JSON, the argument at
// first and {"set": …} lines on stdin later; events are JSON lines on stdout. Run: node smsc.js '{"modules": "…/node_modules"}'
'use strict';
const fs = require('fs'), path = require('path');
const o = Object.assign({port: 0, mode: 'accept', status: 0, bindStatus: 0, tps: 0, answerMs: 0, receiptMs: -1, lose: 0, early: 0, twice: 0, fail: 0,
	dropEvery: 0, dropFor: 0, slowAt: 0, quiet: false, idBase: 10, receiptBase: 10, tlv: false, seed: 1}, JSON.parse(process.argv[2] || '{}'));
const smpp = require(path.join(o.modules, 'smpp'));
const sessions = new Set(), waiting = [], texts = new Map(), tally = new Map();
let seed = o.seed >>> 0, id = 0x10000, submits = 0, seen = 0, second = 0, inSecond = 0, closedUntil = 0, told = 0, acked = 0, throttled = 0, lost = 0, drops = 0;
const odds = (perMille) => {
	seed = (seed + 0x6d2b79f5) >>> 0;
	let t = Math.imul(seed ^ (seed >>> 15), seed | 1);
	t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
	return ((t ^ (t >>> 14)) >>> 0) % 1000 < perMille;
};
const say = (event) => process.stdout.write(JSON.stringify(event) + '\n');
const raw = (s, b) => { if (s.socket.writable) s.socket.write(b); };

// took notes a submit_sm by number and part, and puts the parts of a text together as a phone would.
function took(p) {
	let ref = 0, of = 1, n = 1, words = p.short_message || {message: ''};
	if (p.message_payload) words = p.message_payload;
	for (const h of words.udh || []) {
		if (h[0] === 0) { ref = h[2]; of = h[3]; n = h[4]; }
		if (h[0] === 8) { ref = h[2] * 256 + h[3]; of = h[4]; n = h[5]; }
	}
	if (p.sar_msg_ref_num !== undefined) { ref = p.sar_msg_ref_num; of = p.sar_total_segments; n = p.sar_segment_seqnum; }
	const key = p.destination_addr + '/' + ref, t = texts.get(key) || {parts: [], left: of};
	const counts = tally.get(p.destination_addr) || new Array(of).fill(0);
	counts[n - 1]++;
	tally.set(p.destination_addr, counts);
	if (t.parts[n] === undefined) t.left--;
	t.parts[n] = typeof words.message === 'string' ? words.message : words.message.toString('utf8');
	texts.set(key, t);
	const event = {took: p.destination_addr, ref: p.user_message_reference || 0, n, of, from: p.source_addr, ton: p.source_addr_ton, registered: p.registered_delivery,
		validity: p.validity_period, coding: p.data_coding, octets: p.short_message && p.short_message.message ? p.short_message.message.length : 0};
	if (t.left === 0) { texts.delete(key); event.text = t.parts.slice(1).join(''); }
	if (!o.quiet) say(event);
}

const two = (n) => String(n).padStart(2, '0');
const stamp = (d) => two(d.getUTCFullYear() % 100) + two(d.getUTCMonth() + 1) + two(d.getUTCDate()) + two(d.getUTCHours()) + two(d.getUTCMinutes());
function receipt(p, number) {
	const state = odds(o.fail) ? ['UNDELIV', 5, '001'] : ['DELIVRD', 2, '000'], now = stamp(new Date());
	const r = {source_addr: p.destination_addr, source_addr_ton: 1, source_addr_npi: 1, destination_addr: p.source_addr, esm_class: 4, short_message: Buffer.from(
		`id:${number.toString(o.receiptBase)} sub:001 dlvrd:001 submit date:${now} done date:${now} stat:${state[0]} err:${state[2]} text:stat:REJECTD id:7`)};
	if (o.tlv) { r.receipted_message_id = number.toString(o.idBase); r.message_state = state[1]; }
	if (p.user_message_reference !== undefined) r.user_message_reference = p.user_message_reference;
	return r;
}

// tell sends what waits to whoever is bound to hear it, until it is answered without an error.
function tell() {
	for (const s of sessions) {
		while (s.hears && s.socket.writable && s.open < 100 && waiting.length > 0) { // what is not written has no sequence number
			const r = waiting.shift();
			s.open++; told++;
			s.told.set(s.sequence + 1, r);
			s.deliver_sm(Object.assign({}, r), (a) => {
				s.open--;
				s.told.delete(a.sequence_number);
				if (a.command_status === 0) { acked++; if (!o.quiet) say({acked: a.sequence_number}); }
				else { if (!o.quiet) say({refused: a.command_status}); setTimeout(() => { waiting.push(r); tell(); }, 200); }
				tell();
			});
		}
	}
}
function closeAll() { drops++; for (const s of sessions) s.destroy(); }

function submit(s, p) {
	const answer = (opt) => raw(s, p.response(opt).toBuffer()), modes = {
		status: () => answer({command_status: o.status}), early: () => s.destroy(), silent: () => took(p), drop: () => { took(p); s.destroy(); },
		cut: () => { took(p); raw(s, p.response({message_id: 'cut'}).toBuffer().slice(0, 14)); s.socket.end(); },
		babble: () => { took(p); raw(s, Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n<html>no</html>')); },
		huge: () => { took(p); raw(s, Buffer.from('40000000800000040000000000000002', 'hex')); },
		flood: () => { took(p); const more = () => { if (s.socket.writable && s.socket.write(Buffer.alloc(65536, 0x20))) setImmediate(more); }; s.socket.on('drain', more); more(); },
		drip: () => { took(p); const b = p.response({message_id: (id++).toString(o.idBase)}).toBuffer(); [...b].forEach((c, i) => setTimeout(() => raw(s, Buffer.from([c])), 5 * i)); },
	};
	if (modes[o.mode]) return modes[o.mode]();
	if (o.refusePart && p.short_message.udh && p.short_message.udh[0][4] === o.refusePart) return answer({command_status: o.status});
	const now = Math.floor(Date.now() / 1000);
	if (now !== second) { second = now; inSecond = 0; }
	seen++;
	if (o.tps && ++inSecond > o.tps || o.slowAt && seen >= o.slowAt && seen < o.slowAt + 20) { throttled++; return answer({command_status: odds(100) ? 0x14 : 0x58}); }
	const number = id++, r = p.registered_delivery ? receipt(p, number) : null;
	took(p);
	const queue = () => { if (!r) return; waiting.push(r); if (odds(o.twice)) waiting.push(r); tell(); };
	const early = odds(o.early);
	if (r && o.receiptMs >= 0 && early) queue();
	if (o.dropEvery && ++submits % o.dropEvery === 0) { lost++; setTimeout(queue, o.receiptMs); closedUntil = Date.now() + o.dropFor; return closeAll(); }
	if (odds(o.lose)) lost++;
	else if (o.answerMs) setTimeout(() => answer({message_id: number.toString(o.idBase)}), o.answerMs);
	else answer({message_id: number.toString(o.idBase)});
	if (r && o.receiptMs >= 0 && !early) setTimeout(queue, o.receiptMs);
}

const server = smpp.createServer(o.cert ? {key: fs.readFileSync(o.key), cert: fs.readFileSync(o.cert)} : {}, (s) => {
	if (Date.now() < closedUntil) return s.destroy();
	s.open = 0; s.told = new Map();
	s.on('error', () => s.destroy());
	s.on('close', () => { if (sessions.delete(s)) for (const r of s.told.values()) waiting.push(r); say({gone: sessions.size}); setTimeout(tell, 50); });
	const bound = (hears, sends) => (p) => {
		s.send(p.response(o.bindStatus ? {command_status: o.bindStatus} : {system_id: 'smsc'}));
		if (o.bindStatus) return;
		s.hears = hears; sessions.add(s); say({bound: p.command, as: p.system_id}); tell();
		if (sends) s.on('submit_sm', (q) => submit(s, q));
	};
	s.on('bind_transceiver', bound(true, true)); s.on('bind_transmitter', bound(false, true)); s.on('bind_receiver', bound(true, false));
	s.on('unbind', (p) => { say({unbound: true}); s.send(p.response()); s.close(); });
	s.on('enquire_link', (p) => { if (!o.deaf) s.send(p.response()); say({enquired: true}); });
	s.on('enquire_link_resp', () => say({enquire_answered: true}));
	s.on('generic_nack', (p) => say({nack: p.command_status}));
	s.on('query_sm', (p) => s.send(p.response({message_id: p.message_id, message_state: 2})));
	s.on('unbind_resp', () => say({unbind_answered: true}));
});
server.on('error', (e) => { say({error: String(e)}); process.exit(1); });
server.listen(o.port, '127.0.0.1', () => say({port: server.address().port}));

let rest = '';
process.stdin.on('data', (b) => {
	const lines = (rest + b).split('\n');
	rest = lines.pop();
	for (const line of lines) {
		const c = JSON.parse(line);
		if (c.set) Object.assign(o, c.set);
		if (c.deliver) for (const d of c.deliver) { if (d.hex) d.short_message = Buffer.from(d.hex, 'hex'); if (d.payload) d.message_payload = {message: d.payload}; waiting.push(d); tell(); }
		if (c.raw) for (const s of sessions) raw(s, Buffer.from(c.raw, 'hex'));
		if (c.call) for (const s of sessions) s[c.call]();
		if (c.close) closeAll();
		if (c.report) say({no: c.report, report: {told, acked, throttled, lost, drops, waiting: waiting.length, open: [...sessions].reduce((n, s) => n + s.open, 0),
			numbers: tally.size, twice: [...tally.values()].filter((t) => t.some((n) => n > 1)).length}});
		if (c.tally) { fs.writeFileSync(c.tally, [...tally].map(([k, v]) => k + ' ' + v.join(' ')).join('\n') + '\n'); say({tally: tally.size}); }
	}
});
process.stdin.on('end', () => process.exit(0));
