// SPDX-License-Identifier: Apache-2.0

package main

import (
	cryptorand "crypto/rand"
	"encoding/binary"
	"math/rand/v2"

	"golang.org/x/crypto/chacha20"
)

// UDP payload := PAD[Sx] | MSG' | TRAILER
//
// MSG' is the message with a type word out of Hx, and under header protection XORed with ChaCha20
// over a prefix: a handshake message whole, of a transport message the header.

const (
	nonceSize       = chacha20.NonceSize // the first octets of PAD
	transportHeader = 16
	firstWindow     = 500 // the largest datagram that trailers imitate before there was another
)

func kindOf(msg []byte) int {
	if len(msg) < 4 {
		return 0
	}
	kind := binary.LittleEndian.Uint32(msg)
	if kind < initiation || kind > transport {
		return 0
	}
	return int(kind)
}

func putWord(msg []byte, word uint32) { binary.LittleEndian.PutUint32(msg, word) }

// mask XORs octets with the keystream of this pad, from its start.
func (p *params) mask(pad, octets []byte) {
	cipher, err := chacha20.NewUnauthenticatedCipher(p.key[:], pad[:nonceSize])
	if err != nil {
		panic(err) // both lengths are ours
	}
	cipher.XORKeyStream(octets, octets)
}

func protectedSize(kind int) int {
	if kind == transport {
		return transportHeader
	}
	return messageSize[kind]
}

// frame appends a message, which has its type word already, as a datagram.
func (p *params) frame(out []byte, kind int, msg []byte, trailer int) []byte {
	start := len(out)
	out = append(out, make([]byte, p.pad[kind])...)
	pad := out[start:]
	cryptorand.Read(pad)
	out = append(out, msg...)
	if p.isProtected {
		mine := out[start+p.pad[kind]:]
		p.mask(pad, mine[:protectedSize(kind)])
	}
	return append(out, randomOctets(trailer)...)
}

// trailer draws how many octets follow a handshake message, given the largest datagram seen.
func (p *params) trailer(kind, window int) int {
	framed := p.pad[kind] + messageSize[kind]
	if !p.hasTrailers || window <= framed {
		return 0
	}
	return rand.IntN(window - framed)
}

// keystream is the start of the one that would mask this datagram: the same for all kinds.
func (p *params) keystream(datagram []byte) (stream [transportHeader]byte) {
	if p.isProtected && len(datagram) >= nonceSize {
		p.mask(datagram, stream[:])
	}
	return stream
}

// fits tells whether length and type word of a datagram are those of a kind.
func (p *params) fits(kind int, datagram []byte, stream [transportHeader]byte) bool {
	size := p.pad[kind] + messageSize[kind]
	if len(datagram) < size || (kind != transport && !p.hasTrailers && len(datagram) > size) {
		return false
	}
	word := binary.LittleEndian.Uint32(datagram[p.pad[kind]:]) ^ binary.LittleEndian.Uint32(stream[:])
	return p.head[kind].has(word)
}

// unframe gives a copy of the handshake message in a datagram that fits, with its type word as sent.
func (p *params) unframe(kind int, datagram []byte) []byte {
	at := p.pad[kind]
	msg := append([]byte(nil), datagram[at:at+messageSize[kind]]...)
	if p.isProtected {
		p.mask(datagram, msg)
	}
	return msg
}

// unframeTransport moves the message to the start of a datagram that fits and makes it plain.
func (p *params) unframeTransport(datagram []byte, stream [transportHeader]byte) int {
	size := copy(datagram, datagram[p.pad[transport]:])
	for i := range stream {
		datagram[i] ^= stream[i]
	}
	putWord(datagram, transport)
	return size
}

// isBareKeepalive knows the keepalives that old senders send without the octets of S4.
func (p *params) isBareKeepalive(datagram []byte) bool {
	return !p.isProtected && p.pad[transport] > 0 && len(datagram) == messageSize[transport] &&
		p.head[transport].has(binary.LittleEndian.Uint32(datagram))
}

// unprotectedCookie gives the cookie reply of a sender that forgets to mask it, or nil.
func (p *params) unprotectedCookie(datagram []byte) []byte {
	at := p.pad[cookieReply]
	if !p.isProtected || len(datagram) != at+messageSize[cookieReply] ||
		!p.head[cookieReply].has(binary.LittleEndian.Uint32(datagram[at:])) {
		return nil
	}
	return append([]byte(nil), datagram[at:]...)
}
