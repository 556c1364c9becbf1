// SPDX-License-Identifier: Apache-2.0

package main

import (
	cryptorand "crypto/rand"
	"encoding/hex"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
)

// meaningless makes an initiation in out that verifies under these keys and means nothing.
func meaningless(out []byte, keys signing, word uint32) []byte {
	msg := out[:messageSize[initiation]]
	cryptorand.Read(msg)
	putWord(msg, word)
	covered1, mac1, _, mac2 := macs(msg)
	sum := macOf(keys.mac1[:], covered1)
	copy(mac1, sum[:])
	clear(mac2)
	return msg
}

// The library is under load while its queue of handshake messages is an eighth full, and for a
// second after. A load keeps it so: it is one more socket to it, on which meaningless initiations
// arrive. Their answers are for an address that Send() knows.
type load struct {
	keys   *keyring
	from   netip.AddrPort
	closed chan struct{}
}

const (
	loadBursts = 4 // of a batch each, one after the other
	loadPause  = 300 * time.Millisecond
)

func newLoad(keys *keyring) *load {
	return &load{keys: keys, from: netip.MustParseAddrPort("192.0.2.255:9")}
}

func (l *load) open() conn.ReceiveFunc {
	closed := make(chan struct{})
	l.closed = closed
	turn, ep := 0, &conn.StdNetEndpoint{AddrPort: l.from}
	return func(packets [][]byte, sizes []int, eps []conn.Endpoint) (int, error) {
		pause := time.Duration(0)
		if turn++; turn%loadBursts == 0 {
			pause = loadPause
		}
		select {
		case <-closed:
		case <-time.After(pause):
		}
		if isClosed(closed) {
			return 0, net.ErrClosed
		}
		keys := l.keys.ownSigning()
		for i := range packets {
			sizes[i], eps[i] = len(meaningless(packets[i], keys, initiation)), ep
		}
		return len(packets), nil
	}
}

func isClosed(channel chan struct{}) bool {
	select {
	case <-channel:
		return true
	default:
		return false
	}
}

func (l *load) close() {
	if l.closed != nil {
		close(l.closed)
		l.closed = nil
	}
}

// A flood is the same for others: bursts of meaningless initiations to every peer with an endpoint.
type flood struct {
	device *device.Device
	bind   *bind
}

const (
	floodBatches = 8 // of 128 each, in a burst
	floodPause   = 50 * time.Millisecond
)

func (f *flood) run() {
	for range time.Tick(floodPause) {
		state, err := f.device.IpcGet()
		if err != nil {
			return
		}
		var keys signing
		for _, line := range strings.Split(state, "\n") {
			key, value, _ := strings.Cut(line, "=")
			switch key {
			case "public_key":
				raw, _ := hex.DecodeString(value)
				keys = newSigning([32]byte(raw))
			case "endpoint":
				if ep, err := f.bind.ParseEndpoint(value); err == nil {
					f.burst(keys, ep)
				}
			}
		}
	}
}

// burst goes past Send(): what it would sign and remember is not worth it.
func (f *flood) burst(keys signing, ep conn.Endpoint) {
	p := f.bind.profileOf(addressOf(ep))
	scratch := make([]byte, messageSize[initiation])
	for range floodBatches {
		batch := make([][]byte, f.bind.BatchSize())
		for i := range batch {
			msg := meaningless(scratch, keys, p.head[initiation].draw())
			batch[i] = p.frame(nil, initiation, msg, 0)
		}
		if f.bind.Bind.Send(batch, ep) != nil {
			return
		}
	}
}
