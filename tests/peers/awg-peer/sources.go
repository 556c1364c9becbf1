// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"sync"
)

const maxSources = 4096

// A source is what we know of one address and port at the other side.
type source struct {
	profile *params // of its last handshake message; nil: the default one
	window  int     // largest datagram to or from it
}

type sources struct {
	sync.Mutex
	known map[netip.AddrPort]source
}

func newSources() *sources { return &sources{known: map[netip.AddrPort]source{}} }

func (s *sources) find(where netip.AddrPort) source {
	s.Lock()
	defer s.Unlock()
	found, ok := s.known[where]
	if !ok {
		found.window = firstWindow
	}
	return found
}

// change stores what alter makes of a source.
func (s *sources) change(where netip.AddrPort, alter func(*source)) {
	s.Lock()
	defer s.Unlock()
	found, ok := s.known[where]
	if !ok {
		if len(s.known) >= maxSources {
			clear(s.known)
		}
		found.window = firstWindow
	}
	alter(&found)
	s.known[where] = found
}

// seen raises the window of a source to a datagram's size.
func (s *sources) seen(where netip.AddrPort, size int) {
	if size > s.find(where).window {
		s.change(where, func(x *source) { x.window = max(x.window, size) })
	}
}

// forgetProfiles is for new parameters.
func (s *sources) forgetProfiles() {
	s.Lock()
	defer s.Unlock()
	for where, x := range s.known {
		x.profile = nil
		s.known[where] = x
	}
}
