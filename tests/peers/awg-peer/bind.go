// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"golang.zx2c4.com/wireguard/conn"
)

// Quirks are what others do and one must live with: mistakes of implementations, then hard times.
type quirks struct {
	bareKeepalives     bool // keepalives without the octets of S4
	unprotectedCookies bool // cookie replies that header protection forgets
	junkTrailers       bool // trailers also on junk and signature packets
	underLoad          bool // always under load: a cookie for every handshake
	floods             bool // peers get meaningless initiations, to be under load
}

// A bind carries the library's datagrams in AmneziaWG's framing over the library's own sockets.
type bind struct {
	conn.Bind
	quirks   quirks
	keys     *keyring
	sources  *sources
	profiles atomic.Pointer[[]*params] // the first one is the default
	buffers  sync.Pool
	load     *load
}

func newBind(inner conn.Bind, q quirks) *bind {
	b := &bind{Bind: inner, quirks: q, keys: newKeyring(), sources: newSources()}
	b.buffers.New = func() any { return new([]byte) }
	b.profiles.Store(&[]*params{newParams()})
	if q.underLoad {
		b.load = newLoad(b.keys)
	}
	return b
}

func (b *bind) current() []*params { return *b.profiles.Load() }

func (b *bind) use(profiles []*params) {
	b.profiles.Store(&profiles)
	b.sources.forgetProfiles()
}

func addressOf(ep conn.Endpoint) netip.AddrPort { return ep.(*conn.StdNetEndpoint).AddrPort }

// profileOf gives the profile that a source has shown to speak.
func (b *bind) profileOf(where netip.AddrPort) *params {
	if p := b.sources.find(where).profile; p != nil {
		return p
	}
	return b.current()[0]
}

func (b *bind) Open(port uint16) ([]conn.ReceiveFunc, uint16, error) {
	inner, port, err := b.Bind.Open(port)
	if err != nil {
		return nil, 0, err
	}
	var out []conn.ReceiveFunc
	for _, receive := range inner {
		out = append(out, b.receiving(receive))
	}
	if b.load != nil {
		out = append(out, b.load.open())
	}
	return out, port, nil
}

func (b *bind) Close() error {
	if b.load != nil {
		b.load.close()
	}
	return b.Bind.Close()
}

func (b *bind) receiving(inner conn.ReceiveFunc) conn.ReceiveFunc {
	return func(packets [][]byte, sizes []int, eps []conn.Endpoint) (int, error) {
		n, err := inner(packets, sizes, eps)
		for i := range n {
			if sizes[i] > 0 {
				sizes[i] = b.receive(packets[i][:sizes[i]], addressOf(eps[i]))
			}
		}
		return n, err
	}
}

// receive makes a plain message of a datagram, in place. It returns its size, 0 for a stranger's.
// A handshake message proves itself by its MAC, so it goes first; what is none and looks like a
// transport message is one. Should another profile take it for its own, the AEAD refuses it.
func (b *bind) receive(datagram []byte, from netip.AddrPort) int {
	profiles := b.current()
	if len(profiles) == 1 && profiles[0].isPlain() {
		return len(datagram)
	}
	for _, p := range profiles {
		if msg := b.handshake(p, datagram, from); msg != nil {
			b.sources.change(from, func(s *source) { s.profile = p })
			return copy(datagram, msg)
		}
	}
	order := append([]*params{b.profileOf(from)}, profiles...)
	for _, p := range order {
		if size := b.transport(p, datagram, from); size > 0 {
			return size
		}
	}
	return 0
}

func (b *bind) handshake(p *params, datagram []byte, from netip.AddrPort) []byte {
	stream := p.keystream(datagram)
	for _, kind := range []int{initiation, response} {
		if p.fits(kind, datagram, stream) {
			if msg := p.unframe(kind, datagram); b.keys.incoming(msg, kind, from) {
				return msg
			}
		}
	}
	if p.fits(cookieReply, datagram, stream) {
		if msg := p.unframe(cookieReply, datagram); b.keys.incomingCookie(msg) {
			return msg
		}
	}
	if msg := p.unprotectedCookie(datagram); msg != nil && b.keys.incomingCookie(msg) {
		return msg
	}
	return nil
}

func (b *bind) transport(p *params, datagram []byte, from netip.AddrPort) int {
	stream := p.keystream(datagram)
	if p.fits(transport, datagram, stream) {
		if p.hasTrailers {
			b.sources.seen(from, len(datagram))
		}
		return p.unframeTransport(datagram, stream)
	}
	if p.isBareKeepalive(datagram) {
		putWord(datagram, transport)
		return len(datagram)
	}
	return 0
}

func (b *bind) Send(bufs [][]byte, ep conn.Endpoint) error {
	to := addressOf(ep)
	if b.load != nil && to == b.load.from {
		return nil
	}
	p := b.profileOf(to)
	if p.isPlain() {
		return b.Bind.Send(bufs, ep)
	}
	if kindOf(bufs[0]) == transport {
		return b.sendTransport(p, bufs, ep)
	}
	for _, msg := range bufs {
		if err := b.sendHandshake(p, msg, ep); err != nil {
			return err
		}
	}
	return nil
}

// sendTransport frames a batch into one buffer, side by side: what the library coalesces for UDP GSO
// it then copies onto itself.
func (b *bind) sendTransport(p *params, bufs [][]byte, ep conn.Endpoint) error {
	total := 0
	for _, msg := range bufs {
		total += p.pad[transport] + len(msg)
	}
	buffer := b.buffers.Get().(*[]byte)
	defer b.buffers.Put(buffer)
	if cap(*buffer) < total {
		*buffer = make([]byte, 0, 2*total)
	}
	out, datagrams := (*buffer)[:0], make([][]byte, 0, len(bufs))
	for _, msg := range bufs {
		start := len(out)
		putWord(msg, p.head[transport].draw())
		if b.quirks.bareKeepalives && !p.isProtected && len(msg) == messageSize[transport] {
			out = append(out, msg...)
		} else {
			out = p.frame(out, transport, msg, 0)
		}
		datagrams = append(datagrams, out[start:])
		if p.hasTrailers {
			b.sources.seen(addressOf(ep), len(out)-start)
		}
	}
	return b.Bind.Send(datagrams, ep)
}

func (b *bind) sendHandshake(p *params, plain []byte, ep conn.Endpoint) error {
	kind, to := kindOf(plain), addressOf(ep)
	msg := append([]byte(nil), plain...)
	word := p.head[kind].draw()
	window := b.sources.find(to).window
	if kind == cookieReply {
		if p.hidesCookies || !b.keys.outgoingCookie(msg, to) {
			return nil
		}
		putWord(msg, word)
		if b.quirks.unprotectedCookies {
			bare := p.clone()
			bare.isProtected, bare.hasTrailers = false, false
			p = bare
		}
	} else if !b.keys.outgoing(msg, word) {
		return nil // removed a moment ago
	}
	if kind == initiation {
		if err := b.sendPrelude(p, window, ep); err != nil {
			return err
		}
	}
	return b.sendOne(p.frame(nil, kind, msg, p.trailer(kind, window)), ep)
}

func (b *bind) sendPrelude(p *params, window int, ep conn.Endpoint) error {
	for _, datagram := range p.before() {
		if b.quirks.junkTrailers && window > len(datagram) {
			datagram = append(datagram, randomOctets(int(span{0, uint32(window - len(datagram) - 1)}.draw()))...)
		}
		if err := b.sendOne(datagram, ep); err != nil {
			return err
		}
	}
	return nil
}

// sendOne sends alone what must not be coalesced: datagrams of different sizes.
func (b *bind) sendOne(datagram []byte, ep conn.Endpoint) error {
	return b.Bind.Send([][]byte{datagram}, ep)
}
