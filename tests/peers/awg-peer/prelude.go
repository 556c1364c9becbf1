// SPDX-License-Identifier: Apache-2.0

package main

import (
	cryptorand "crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// A signature is one of I1 to I5: a recipe for a packet that goes before an initiation.
type signature struct {
	text  string
	parts []func() []byte
}

const (
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits  = "0123456789"
)

// parseSignature reads "<b 0x01><r 5>"; text outside the brackets is nothing. Without any tag
// there is no packet: nil.
func parseSignature(text string) (*signature, error) {
	s, total := &signature{text: text}, 0
	for rest := text; ; {
		_, after, ok := strings.Cut(rest, "<")
		if !ok {
			break
		}
		tag, more, ok := strings.Cut(after, ">")
		if !ok {
			return nil, fmt.Errorf("%q is not closed", after)
		}
		part, size, err := parseTag(strings.Fields(tag))
		if err != nil {
			return nil, fmt.Errorf("<%s>: %w", tag, err)
		}
		if total += size; total > maxDatagram {
			return nil, fmt.Errorf("more than %d octets", maxDatagram)
		}
		s.parts = append(s.parts, part)
		rest = more
	}
	if len(s.parts) == 0 {
		return nil, nil
	}
	return s, nil
}

func parseTag(words []string) (part func() []byte, size int, err error) {
	words = append(words, "", "")
	name, value := words[0], words[1]
	switch name {
	case "b":
		value = strings.TrimPrefix(value, "0x")
		raw, err := hex.DecodeString(value)
		if err != nil || len(raw) == 0 {
			return nil, 0, fmt.Errorf("%q is no octets", value)
		}
		return func() []byte { return raw }, len(raw), nil
	case "t":
		return func() []byte { return binary.BigEndian.AppendUint32(nil, uint32(time.Now().Unix())) }, 4, nil
	case "c":
		return func() []byte { return binary.BigEndian.AppendUint32(nil, rand.Uint32()) }, 4, nil
	case "d", "ds": // the payload of a carrier, of which these packets have none
		return func() []byte { return nil }, 0, nil
	}
	size64, err := strconv.ParseUint(value, 10, 16)
	if err != nil {
		return nil, 0, err
	}
	size = int(size64)
	switch name {
	case "r":
		return func() []byte { return randomOctets(size) }, size, nil
	case "rc":
		return func() []byte { return drawn(size, letters) }, size, nil
	case "rd":
		return func() []byte { return drawn(size, digits) }, size, nil
	case "dz":
		return func() []byte { return make([]byte, size) }, size, nil
	}
	return nil, 0, fmt.Errorf("%q is no tag", name)
}

func randomOctets(size int) []byte {
	octets := make([]byte, size)
	cryptorand.Read(octets)
	return octets
}

func drawn(size int, alphabet string) []byte {
	octets := make([]byte, size)
	for i := range octets {
		octets[i] = alphabet[rand.IntN(len(alphabet))]
	}
	return octets
}

func (s *signature) packet() []byte {
	var out []byte
	for _, part := range s.parts {
		out = append(out, part()...)
	}
	return out
}

// before gives the datagrams that go before an initiation, in order: I1 to I5, then junk.
func (p *params) before() [][]byte {
	var out [][]byte
	for _, s := range p.prelude {
		if s != nil {
			out = append(out, s.packet())
		}
	}
	for range p.junk {
		if size := p.junkMin + rand.IntN(p.junkMax-p.junkMin+1); size > 0 {
			out = append(out, randomOctets(size))
		}
	}
	return out
}
