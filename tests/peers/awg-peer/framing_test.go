// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

// paramsOf makes a profile of "key=value key=value".
func paramsOf(t *testing.T, text string) *params {
	t.Helper()
	p, err := parseProfile("test " + text)
	if text == "" {
		p, err = newParams(), nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const sampleKey = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

// One of each generation, the last one Amnezia's default.
var generations = map[string]string{
	"plain": "",
	"1.0":   "jc=4 jmin=8 jmax=80 s1=32 s2=57 h1=1234567 h2=2345678 h3=3456789 h4=4567890",
	"2.0": "s1=32 s2=57 s3=20 s4=9 h1=100000000-200000000 h2=200000001-300000000 h3=300000001-400000000 " +
		"h4=400000001-500000000",
	"3.0": "s1=40 s2=50 s3=12 s4=13 header_protection_key=" + sampleKey,
	"3.1": "jc=5 jmin=10 jmax=50 s1=42 s2=108 s3=13 s4=12 random_trailers=1 header_protection_key=" + sampleKey,
}

func message(kind int) []byte {
	msg := randomOctets(messageSize[kind])
	putWord(msg, uint32(kind))
	return msg
}

func Test_mask_is_the_keystream_of_rfc8439(t *testing.T) {
	p := paramsOf(t, "s1=12 s2=12 s3=12 s4=12 header_protection_key="+sampleKey)
	nonce, _ := hex.DecodeString("000000090000004a00000000")
	octets := make([]byte, 128)
	p.mask(nonce, octets)
	// Section 2.3.2 gives block 1; ours starts with block 0.
	want := "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e" +
		"d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e"
	if got := hex.EncodeToString(octets[64:]); got != want {
		t.Fatalf("%s instead of %s", got, want)
	}
}

func Test_plain_frame_is_the_message_itself(t *testing.T) {
	p := newParams()
	for kind := initiation; kind <= transport; kind++ {
		msg := message(kind)
		if !bytes.Equal(p.frame(nil, kind, msg, p.trailer(kind, 1500)), msg) {
			t.Errorf("message %d is changed", kind)
		}
	}
}

func Test_every_message_comes_out_of_its_frame(t *testing.T) {
	for name, text := range generations {
		p := paramsOf(t, text)
		for kind := initiation; kind <= transport; kind++ {
			for range 100 {
				msg := message(kind)
				putWord(msg, p.head[kind].draw())
				datagram := p.frame(nil, kind, msg, 0)
				if kind != transport {
					datagram = append(datagram, randomOctets(p.trailer(kind, 500))...)
				}
				stream := p.keystream(datagram)
				if !p.fits(kind, datagram, stream) {
					t.Fatalf("%s: a frame of message %d does not fit", name, kind)
				}
				got := datagram
				if kind == transport {
					got = datagram[:p.unframeTransport(datagram, stream)]
					putWord(msg, transport)
				} else {
					got = p.unframe(kind, datagram)
				}
				if !bytes.Equal(got, msg) {
					t.Fatalf("%s: message %d is not what it was", name, kind)
				}
			}
		}
	}
}

func Test_protection_hides_handshakes_whole_and_of_data_the_header(t *testing.T) {
	p := paramsOf(t, generations["3.0"])
	for kind := initiation; kind <= transport; kind++ {
		msg := append(message(kind), randomOctets(100*(kind/transport))...)
		inside := p.frame(nil, kind, msg, 0)[p.pad[kind]:]
		size := protectedSize(kind)
		if bytes.Equal(inside[:size], msg[:size]) || bytes.Equal(inside[size-8:size], msg[size-8:size]) {
			t.Errorf("message %d is not hidden", kind)
		}
		if !bytes.Equal(inside[size:], msg[size:]) {
			t.Errorf("message %d is hidden too far", kind)
		}
	}
}

func Test_only_trailers_make_a_long_handshake_fit(t *testing.T) {
	strict, relaxed := paramsOf(t, "s1=5"), paramsOf(t, "s1=5 random_trailers=1")
	msg := message(initiation)
	for extra, fits := range []bool{true, false, false} {
		datagram := strict.frame(nil, initiation, msg, extra)
		if strict.fits(initiation, datagram, [16]byte{}) != fits {
			t.Errorf("%d octets more: not %v", extra, fits)
		}
		if !relaxed.fits(initiation, datagram, [16]byte{}) {
			t.Errorf("%d octets more do not fit with trailers", extra)
		}
	}
	if relaxed.fits(initiation, msg, [16]byte{}) {
		t.Error("a datagram without its padding fits")
	}
}

func Test_trailers_stay_below_the_window(t *testing.T) {
	p := paramsOf(t, "s1=5 random_trailers=1")
	longest := 0
	for range 20000 {
		longest = max(longest, p.trailer(initiation, 500))
	}
	if want := 500 - 5 - 148 - 1; longest != want {
		t.Errorf("longest is %d instead of %d", longest, want)
	}
	if p.trailer(initiation, 153) != 0 {
		t.Error("a trailer beyond the window")
	}
}

func Test_parameters_that_cannot_work_are_refused(t *testing.T) {
	for _, text := range []string{"h1=1-10", "h2=7 h3=7", "s1=12 s2=12 s3=12 s4=11 header_protection_key=" + sampleKey,
		"jmin=9 jmax=8", "s2=65535", "jc=4-8", "h1=9-8", "random_trailers=on", "header_protection_key=00",
		"i1=<q>", "i1=<b 0x1>", "i1=<r -1>", "i1=<r 65535>", "i1=<r 5", "nothing=1"} {
		if _, err := parseProfile("test " + text); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
	if _, err := parseProfile("test header_protection_key=" + strings.Repeat("0", 64)); err != nil {
		t.Errorf("a key of zeros does not mean off: %v", err)
	}
}

func Test_signature_packets_have_the_size_of_their_tags(t *testing.T) {
	for text, size := range map[string]int{"<b 0xc0ff><r 8>": 10, "<t>": 4, "<c>": 4, "<rc 7> and <rd   3>": 10,
		"<d><ds><dz 2>": 2, "<b c0ff>": 2} {
		s, err := parseSignature(text)
		if err != nil || len(s.packet()) != size {
			t.Errorf("%s: %v, not %d octets", text, err, size)
		}
	}
	if s, err := parseSignature("no tag"); s != nil || err != nil {
		t.Error("a packet out of nothing")
	}
}

func Test_junk_has_every_size_of_its_range(t *testing.T) {
	p, sizes := paramsOf(t, "jc=1000 jmin=5 jmax=8 i2=<b 0x07>"), map[int]int{}
	packets := p.before()
	if len(packets) != 1001 || !bytes.Equal(packets[0], []byte{7}) {
		t.Fatal("not the signature packet and then the junk")
	}
	for _, packet := range packets[1:] {
		sizes[len(packet)]++
	}
	if len(sizes) != 4 || sizes[5] == 0 || sizes[8] == 0 {
		t.Errorf("sizes are %v", sizes)
	}
}
