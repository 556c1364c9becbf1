// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// The four messages, numbered as WireGuard does on the wire.
const (
	initiation = 1 + iota
	response
	cookieReply
	transport
)

// Octets of each message; for transport the least.
var messageSize = [5]int{initiation: 148, response: 92, cookieReply: 64, transport: 32}

const maxDatagram = 65507

// A span is a range of numbers, both ends included.
type span struct{ lo, hi uint32 }

func (s span) has(n uint32) bool { return s.lo <= n && n <= s.hi }

func (s span) draw() uint32 {
	return s.lo + uint32(rand.Uint64N(uint64(s.hi)-uint64(s.lo)+1))
}

func (s span) String() string {
	if s.lo == s.hi {
		return fmt.Sprint(s.lo)
	}
	return fmt.Sprintf("%d-%d", s.lo, s.hi)
}

// parseSpan reads "a" or "a-b", decimal, a not above b.
func parseSpan(text string, bits int) (span, error) {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	lo, err := strconv.ParseUint(first, 10, bits)
	if err != nil {
		return span{}, err
	}
	hi, err := strconv.ParseUint(last, 10, bits)
	if err != nil {
		return span{}, err
	}
	if lo > hi {
		return span{}, fmt.Errorf("%q ends before it begins", text)
	}
	return span{uint32(lo), uint32(hi)}, nil
}

// params is one profile: everything that makes AmneziaWG's datagrams differ from WireGuard's.
// Indexed fields have the message's number as index. A params in use is never changed.
type params struct {
	name                   string // of a further profile
	junk, junkMin, junkMax int
	pad                    [5]int
	head                   [5]span
	prelude                [6]*signature // 1 to 5
	key                    [32]byte
	isProtected            bool
	hasTrailers            bool
	hidesCookies           bool
	contentPadding         span

	// Keys that change no datagram of ours, as they were given: the timers are those of the
	// library. Kept for get.
	other map[string]string
}

func newParams() *params {
	p := &params{other: map[string]string{}}
	for kind := initiation; kind <= transport; kind++ {
		p.head[kind] = span{uint32(kind), uint32(kind)}
	}
	return p
}

func (p *params) clone() *params {
	c := *p
	c.other = make(map[string]string, len(p.other))
	for key, value := range p.other {
		c.other[key] = value
	}
	return &c
}

// isPlain tells that every datagram is WireGuard's, octet for octet.
func (p *params) isPlain() bool {
	plain := newParams()
	return p.pad == plain.pad && p.head == plain.head && !p.isProtected && !p.hasTrailers && !p.hidesCookies &&
		p.junk == 0 && p.prelude == plain.prelude
}

var timerKeys = []string{"rekey_after_time", "rekey_timeout", "reject_after_time", "keepalive_timeout",
	"max_handshake_attempts"}

// Of AmneziaWG 1.5, gone since: taken and without effect.
var droppedKeys = []string{"j1", "j2", "j3", "itime"}

// isParam tells whether a UAPI key is AmneziaWG's.
func isParam(key string) bool {
	p := newParams()
	for _, known := range append(droppedKeys, timerKeys...) {
		if key == known {
			return true
		}
	}
	return p.target(key) != nil || p.special(key)
}

func (p *params) special(key string) bool {
	switch key {
	case "header_protection_key", "content_padding_addition", "random_trailers", "disable_cookies":
		return true
	}
	return isIndexed(key, 'h', 4) || isIndexed(key, 'i', 5)
}

// isIndexed tells whether key is the letter and a digit from 1 to last.
func isIndexed(key string, letter byte, last byte) bool {
	return len(key) == 2 && key[0] == letter && '1' <= key[1] && key[1] <= '0'+last
}

// target is where a plain 16-bit number belongs.
func (p *params) target(key string) *int {
	switch key {
	case "jc":
		return &p.junk
	case "jmin":
		return &p.junkMin
	case "jmax":
		return &p.junkMax
	}
	if isIndexed(key, 's', 4) {
		return &p.pad[key[1]-'0']
	}
	return nil
}

// set takes one UAPI key for which isParam() is true. Call check() after the last one.
func (p *params) set(key, value string) (err error) {
	switch target := p.target(key); {
	case target != nil:
		var n uint64
		n, err = strconv.ParseUint(value, 10, 16)
		*target = int(n)
	case isIndexed(key, 'h', 4):
		p.head[key[1]-'0'], err = parseSpan(value, 32)
	case isIndexed(key, 'i', 5):
		p.prelude[key[1]-'0'], err = parseSignature(value)
	case key == "header_protection_key":
		err = p.setKey(value)
	case key == "content_padding_addition":
		p.contentPadding, err = parseSpan(value, 16)
	case key == "random_trailers":
		p.hasTrailers, err = parseSwitch(value)
	case key == "disable_cookies":
		p.hidesCookies, err = parseSwitch(value)
	default:
		if strings.Contains(key, "_") {
			_, err = parseSpan(value, 16)
		}
		p.other[key] = value
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", key, err)
	}
	return err
}

func (p *params) setKey(value string) error {
	raw, err := hex.DecodeString(value)
	if err != nil || len(raw) != len(p.key) {
		return errors.New("not 64 hexadecimal digits")
	}
	p.key = [32]byte(raw)
	p.isProtected = p.key != [32]byte{}
	return nil
}

func parseSwitch(value string) (bool, error) {
	if value != "0" && value != "1" {
		return false, errors.New("neither 0 nor 1")
	}
	return value == "1", nil
}

// check refuses what cannot work, whatever the order in which it was set.
func (p *params) check() error {
	for a := initiation; a <= transport; a++ {
		for b := a + 1; b <= transport; b++ {
			if p.head[a].lo <= p.head[b].hi && p.head[b].lo <= p.head[a].hi {
				return fmt.Errorf("h%d and h%d overlap", a, b)
			}
		}
		if p.isProtected && p.pad[a] < nonceSize {
			return fmt.Errorf("header protection needs s%d of at least %d", a, nonceSize)
		}
		if p.pad[a]+messageSize[a] > maxDatagram {
			return fmt.Errorf("s%d is too large", a)
		}
	}
	if p.junkMin > p.junkMax || p.junkMax > maxDatagram {
		return errors.New("jmin and jmax are no range of sizes")
	}
	return nil
}

// lines gives the parameters as the answer to get has them.
func (p *params) lines() []string {
	var out []string
	add := func(key string, value any) { out = append(out, fmt.Sprintf("%s=%v", key, value)) }
	for _, key := range []string{"jc", "jmin", "jmax", "s1", "s2", "s3", "s4"} {
		if n := *p.target(key); n != 0 {
			add(key, n)
		}
	}
	for kind := initiation; kind <= transport; kind++ {
		add(fmt.Sprintf("h%d", kind), p.head[kind])
	}
	for n, s := range p.prelude {
		if s != nil {
			add(fmt.Sprintf("i%d", n), s.text)
		}
	}
	if p.isProtected {
		add("header_protection_key", hex.EncodeToString(p.key[:]))
	}
	if p.contentPadding.hi != 0 {
		add("content_padding_addition", p.contentPadding)
	}
	for _, key := range timerKeys {
		if value, ok := p.other[key]; ok && value != "0" {
			add(key, value)
		}
	}
	number := map[bool]int{true: 1}
	add("random_trailers", number[p.hasTrailers])
	add("disable_cookies", number[p.hidesCookies])
	return out
}
