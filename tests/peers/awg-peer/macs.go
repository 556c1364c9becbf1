// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/hmac"
	cryptorand "crypto/rand"
	"encoding/binary"
	"net/netip"
	"sync"

	"golang.org/x/crypto/blake2s"
	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/crypto/curve25519"
)

// MAC1 and MAC2 cover the type word, and a cookie reply is sealed with the MAC1 it answers. The
// library computes and expects them over its own words, so each message is signed again on its way,
// and each cookie reply sealed again.

const macSize = blake2s.Size128

type mac [macSize]byte

// A signing holds the two keys that follow from a public key.
type signing struct {
	mac1   [blake2s.Size]byte
	cookie [blake2s.Size]byte
}

func newSigning(public [32]byte) signing {
	return signing{
		mac1:   blake2s.Sum256(append([]byte("mac1----"), public[:]...)),
		cookie: blake2s.Sum256(append([]byte("cookie--"), public[:]...)),
	}
}

func macOf(key, text []byte) (sum mac) {
	h, err := blake2s.New128(key)
	if err != nil {
		panic(err) // only for keys longer than 32 octets
	}
	h.Write(text)
	h.Sum(sum[:0])
	return sum
}

// macs gives the places of both MACs in a message, and what each covers.
func macs(msg []byte) (covered1, mac1, covered2, mac2 []byte) {
	at1, at2 := len(msg)-2*macSize, len(msg)-macSize
	return msg[:at1], msg[at1:at2], msg[:at2], msg[at2:]
}

// A pair is the MAC1 of one message, as the library sees it and as it is on the wire.
type pair struct{ plain, wire mac }

// A correspondent is one configured peer.
type correspondent struct {
	signing
	sent   *pair // of the last message to it
	cookie mac   // the last it gave us
}

// A question is a handshake message that may be answered by a cookie reply.
type question struct {
	from   netip.AddrPort
	sender uint32
}

const maxQuestions = 4096

// A keyring translates the MACs of all messages of one device.
type keyring struct {
	sync.Mutex
	own       signing
	peers     map[[32]byte]*correspondent
	questions map[question]pair
	order     []question             // of questions, oldest first
	given     map[netip.AddrPort]mac // cookies that we gave out

	cookiesSent, cookiesReceived, cookiesHonoured int
}

func newKeyring() *keyring {
	return &keyring{peers: map[[32]byte]*correspondent{}, questions: map[question]pair{},
		given: map[netip.AddrPort]mac{}}
}

func (k *keyring) setPrivate(private [32]byte) error {
	public, err := curve25519.X25519(private[:], curve25519.Basepoint)
	if err != nil {
		return err
	}
	k.Lock()
	defer k.Unlock()
	k.own = newSigning([32]byte(public))
	return nil
}

func (k *keyring) ownSigning() signing {
	k.Lock()
	defer k.Unlock()
	return k.own
}

func (k *keyring) add(public [32]byte) {
	k.Lock()
	defer k.Unlock()
	if k.peers[public] == nil {
		k.peers[public] = &correspondent{signing: newSigning(public)}
	}
}

// keep forgets all peers but these.
func (k *keyring) keep(publics map[[32]byte]bool) {
	k.Lock()
	defer k.Unlock()
	for public := range k.peers {
		if !publics[public] {
			delete(k.peers, public)
		}
	}
}

// outgoing gives an initiation or response of the library another type word and signs it again.
// False: it is for nobody we know.
func (k *keyring) outgoing(msg []byte, word uint32) bool {
	k.Lock()
	defer k.Unlock()
	covered1, mac1, covered2, mac2 := macs(msg)
	for _, peer := range k.peers {
		plain := macOf(peer.mac1[:], covered1)
		if !hmac.Equal(plain[:], mac1) {
			continue
		}
		putWord(msg, word)
		wire := macOf(peer.mac1[:], covered1)
		copy(mac1, wire[:])
		peer.sent = &pair{plain, wire}
		if [macSize]byte(mac2) != [macSize]byte{} {
			signed := macOf(peer.cookie[:], covered2)
			copy(mac2, signed[:])
		}
		return true
	}
	return false
}

// incoming verifies MAC1 of an initiation or response and makes it one that the library accepts.
// A MAC2 made with the cookie that we gave the sender stays valid, every other becomes zero.
func (k *keyring) incoming(msg []byte, kind int, from netip.AddrPort) bool {
	k.Lock()
	defer k.Unlock()
	covered1, mac1, covered2, mac2 := macs(msg)
	wire := macOf(k.own.mac1[:], covered1)
	if !hmac.Equal(wire[:], mac1) {
		return false
	}
	cookie, isGiven := k.given[from]
	signed := macOf(cookie[:], covered2)
	isSigned := isGiven && hmac.Equal(signed[:], mac2)

	putWord(msg, uint32(kind))
	plain := macOf(k.own.mac1[:], covered1)
	copy(mac1, plain[:])
	clear(mac2)
	if isSigned {
		k.cookiesHonoured++
		signed = macOf(cookie[:], covered2)
		copy(mac2, signed[:])
	}
	k.remember(question{from, binary.LittleEndian.Uint32(msg[4:])}, pair{plain, wire})
	return true
}

func (k *keyring) remember(q question, p pair) {
	if _, ok := k.questions[q]; !ok {
		k.order = append(k.order, q)
	}
	k.questions[q] = p
	if len(k.order) > maxQuestions {
		delete(k.questions, k.order[0])
		k.order = k.order[1:]
	}
}

// reseal opens a cookie reply with one MAC1 as additional data and seals it with another.
func reseal(msg []byte, key []byte, from, to mac) (cookie mac, ok bool) {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		panic(err) // the length is ours
	}
	nonce, sealed := msg[8:32], msg[32:64]
	open, err := aead.Open(nil, nonce, sealed, from[:])
	if err != nil {
		return mac{}, false
	}
	cryptorand.Read(nonce)
	aead.Seal(sealed[:0], nonce, open, to[:])
	return mac(open), true
}

// outgoingCookie translates a cookie reply of the library. False: it answers nothing we remember.
func (k *keyring) outgoingCookie(msg []byte, to netip.AddrPort) bool {
	k.Lock()
	defer k.Unlock()
	p, ok := k.questions[question{to, binary.LittleEndian.Uint32(msg[4:])}]
	if !ok {
		return false
	}
	cookie, ok := reseal(msg, k.own.cookie[:], p.plain, p.wire)
	if !ok {
		return false
	}
	if len(k.given) >= maxQuestions {
		clear(k.given)
	}
	k.given[to] = cookie
	k.cookiesSent++
	return true
}

// incomingCookie translates a cookie reply for the library. False: it answers nothing we sent.
func (k *keyring) incomingCookie(msg []byte) bool {
	k.Lock()
	defer k.Unlock()
	for _, peer := range k.peers {
		if peer.sent == nil {
			continue
		}
		if cookie, ok := reseal(msg, peer.signing.cookie[:], peer.sent.wire, peer.sent.plain); ok {
			peer.cookie = cookie
			putWord(msg, cookieReply)
			k.cookiesReceived++
			return true
		}
	}
	return false
}
