// SPDX-License-Identifier: Apache-2.0

package main

import (
	cryptorand "crypto/rand"
	"net"
	"net/netip"
	"time"

	"golang.zx2c4.com/wireguard/conn"
)

// The library is under load while its queue of handshake messages is an eighth full, and for a
// second after. A load keeps it so: it is one more socket to it, on which initiations arrive that
// verify and mean nothing. Their answers are for an address that Send() knows.
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
		for i := range packets {
			sizes[i], eps[i] = l.initiation(packets[i]), ep
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

func (l *load) initiation(out []byte) int {
	msg := out[:messageSize[initiation]]
	cryptorand.Read(msg)
	putWord(msg, initiation)
	covered1, mac1, _, mac2 := macs(msg)
	l.keys.Lock()
	sum := macOf(l.keys.own.mac1[:], covered1)
	l.keys.Unlock()
	copy(mac1, sum[:])
	clear(mac2)
	return len(msg)
}
