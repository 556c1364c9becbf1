// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/crypto/curve25519"
	"golang.zx2c4.com/wireguard/conn"
)

// A wire takes what a bind sends.
type wire struct {
	conn.Bind
	datagrams [][]byte
}

func (w *wire) Send(bufs [][]byte, _ conn.Endpoint) error {
	for _, datagram := range bufs {
		w.datagrams = append(w.datagrams, bytes.Clone(datagram))
	}
	return nil
}

// An end is a bind with a key, as a device would use it.
type end struct {
	*bind
	wire   *wire
	public [32]byte
	at     *conn.StdNetEndpoint
}

func newEnds(t *testing.T, text string, q quirks) (a, b *end) {
	make := func(address string) *end {
		w := &wire{}
		e := &end{bind: newBind(w, q), wire: w, at: &conn.StdNetEndpoint{AddrPort: netip.MustParseAddrPort(address)}}
		private := [32]byte(randomOctets(32))
		public, _ := curve25519.X25519(private[:], curve25519.Basepoint)
		e.public = [32]byte(public)
		e.keys.setPrivate(private)
		e.use([]*params{paramsOf(t, text)})
		return e
	}
	a, b = make("192.0.2.1:1"), make("192.0.2.2:2")
	a.keys.add(b.public)
	b.keys.add(a.public)
	return a, b
}

// signed makes a handshake message as the library would send it to e; a zero cookie is none.
func (e *end) signed(kind int, cookie mac) []byte {
	msg := message(kind)
	keys := newSigning(e.public)
	covered1, mac1, covered2, mac2 := macs(msg)
	sum := macOf(keys.mac1[:], covered1)
	copy(mac1, sum[:])
	clear(mac2)
	if cookie != (mac{}) {
		sum = macOf(cookie[:], covered2)
		copy(mac2, sum[:])
	}
	return msg
}

// passes sends a message from e to other and gives what other's library gets, without strangers.
func (e *end) passes(t *testing.T, other *end, msg []byte) (got [][]byte) {
	t.Helper()
	e.wire.datagrams = nil
	if err := e.Send([][]byte{bytes.Clone(msg)}, other.at); err != nil {
		t.Fatal(err)
	}
	for _, datagram := range e.wire.datagrams {
		if size := other.receive(datagram, e.at.AddrPort); size > 0 {
			got = append(got, datagram[:size])
		}
	}
	return got
}

func Test_every_message_arrives_as_it_was_sent(t *testing.T) {
	for name, text := range generations {
		a, b := newEnds(t, text, quirks{junkTrailers: true})
		for _, msg := range [][]byte{b.signed(initiation, mac{}), b.signed(response, mac{}), message(transport),
			append(message(transport), randomOctets(1400)...)} {
			for range 50 {
				got := a.passes(t, b, msg)
				if len(got) != 1 || !bytes.Equal(got[0], msg) {
					t.Fatalf("%s: message %d of %d octets is not what it was", name, kindOf(msg), len(msg))
				}
			}
		}
	}
}

func Test_messages_for_another_key_are_dropped(t *testing.T) {
	a, b := newEnds(t, generations["3.0"], quirks{})
	_, stranger := newEnds(t, generations["3.0"], quirks{})
	a.keys.add(stranger.public)
	if got := a.passes(t, b, stranger.signed(initiation, mac{})); len(got) != 0 {
		t.Error("an initiation for somebody else arrived")
	}
}

// cookieReplyTo is what the library at e answers to msg, as it sees msg.
func (e *end) cookieReplyTo(msg []byte, cookie mac) []byte {
	reply := message(cookieReply)
	copy(reply[4:8], msg[4:8])
	keys := newSigning(e.public)
	aead, _ := chacha20poly1305.NewX(keys.cookie[:])
	_, mac1, _, _ := macs(msg)
	aead.Seal(reply[32:32], reply[8:32], cookie[:], mac1)
	return reply
}

func Test_a_cookie_is_understood_and_makes_a_mac2_that_verifies(t *testing.T) {
	for name, text := range generations {
		for _, q := range []quirks{{}, {unprotectedCookies: true}} {
			a, b := newEnds(t, text, q)
			if name == "plain" {
				continue // nothing is translated
			}
			first, cookie := b.signed(initiation, mac{}), mac(randomOctets(macSize))
			got := a.passes(t, b, first)
			reply := b.passes(t, a, b.cookieReplyTo(got[0], cookie))
			if len(reply) != 1 || !bytes.Equal(reply[0][:8], b.cookieReplyTo(first, cookie)[:8]) {
				t.Fatalf("%s: no cookie reply arrives", name)
			}
			keys := newSigning(b.public)
			aead, _ := chacha20poly1305.NewX(keys.cookie[:])
			_, mac1, _, _ := macs(first)
			open, err := aead.Open(nil, reply[0][8:32], reply[0][32:], mac1)
			if err != nil || !bytes.Equal(open, cookie[:]) {
				t.Fatalf("%s: the reply does not hold the cookie: %v", name, err)
			}
			second := b.signed(initiation, cookie)
			if got := a.passes(t, b, second); len(got) != 1 || !bytes.Equal(got[0], second) {
				t.Fatalf("%s: MAC2 did not arrive", name)
			}
			wrong := b.signed(initiation, mac(randomOctets(macSize)))
			a.keys.peers[b.public].cookie = mac{1}
			got = a.passes(t, b, wrong)
			if _, _, _, mac2 := macs(got[0]); [macSize]byte(mac2) != [macSize]byte{} {
				t.Fatalf("%s: a wrong MAC2 is let through", name)
			}
		}
	}
}

func Test_hidden_cookies_are_never_sent(t *testing.T) {
	a, b := newEnds(t, "disable_cookies=1", quirks{})
	got := a.passes(t, b, b.signed(initiation, mac{}))
	if reply := b.passes(t, a, b.cookieReplyTo(got[0], mac{1})); len(reply) != 0 || len(b.wire.datagrams) != 0 {
		t.Error("a cookie reply was sent")
	}
}

func Test_bare_keepalives_are_accepted(t *testing.T) {
	a, b := newEnds(t, generations["2.0"], quirks{bareKeepalives: true})
	msg := message(transport)
	got := a.passes(t, b, msg)
	if len(a.wire.datagrams[0]) != 32 || len(got) != 1 || !bytes.Equal(got[0], msg) {
		t.Error("a keepalive without padding is lost")
	}
}

func Test_a_batch_lies_side_by_side(t *testing.T) {
	a, b := newEnds(t, generations["3.1"], quirks{})
	var batch [][]byte
	for range 20 {
		batch = append(batch, append(message(transport), randomOctets(1400)...))
	}
	want := append([][]byte(nil), batch...)
	for i := range want {
		want[i] = bytes.Clone(want[i])
	}
	if err := a.Send(batch, b.at); err != nil {
		t.Fatal(err)
	}
	for i, datagram := range a.wire.datagrams {
		if size := b.receive(datagram, a.at.AddrPort); !bytes.Equal(datagram[:size], want[i]) {
			t.Fatalf("packet %d is not what it was", i)
		}
	}
}

func Test_profiles_on_one_port_are_told_apart(t *testing.T) {
	_, server := newEnds(t, "", quirks{})
	var all []*params
	for _, text := range generations {
		all = append(all, paramsOf(t, text))
	}
	server.use(all)
	for i, p := range all {
		client, _ := newEnds(t, "", quirks{})
		client.use([]*params{p})
		client.at.AddrPort = netip.AddrPortFrom(client.at.Addr(), uint16(100+i))
		client.keys.add(server.public)
		server.keys.add(client.public)
		for _, msg := range [][]byte{server.signed(initiation, mac{}), message(transport)} {
			// Junk may look like data of a profile with wide ranges; the AEAD refuses it.
			got := slices.DeleteFunc(client.passes(t, server, msg), func(other []byte) bool {
				return kindOf(msg) != transport && kindOf(other) == transport
			})
			if len(got) != 1 || !bytes.Equal(got[0], msg) {
				t.Fatalf("profile %d: message %d is not what it was", i, kindOf(msg))
			}
		}
		answer := client.signed(response, mac{})
		if got := server.passes(t, client, answer); len(got) != 1 || !bytes.Equal(got[0], answer) {
			t.Fatalf("profile %d: the answer is not what it was", i)
		}
	}
}

func Test_the_load_is_made_of_initiations_that_verify(t *testing.T) {
	_, b := newEnds(t, "", quirks{underLoad: true})
	receive := b.load.open()
	packets, sizes, eps := [][]byte{make([]byte, 2000)}, []int{0}, []conn.Endpoint{nil}
	if n, err := receive(packets, sizes, eps); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	msg := packets[0][:sizes[0]]
	covered1, mac1, _, _ := macs(msg)
	sum := macOf(b.keys.own.mac1[:], covered1)
	if binary.LittleEndian.Uint32(msg) != initiation || !bytes.Equal(sum[:], mac1) {
		t.Error("it does not verify")
	}
	b.load.close()
	if _, err := receive(packets, sizes, eps); err == nil {
		t.Error("it does not end")
	}
}
