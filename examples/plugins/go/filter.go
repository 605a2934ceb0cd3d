// A filter in Go: refuses requests for some paths, and counts them in a header of the reply.
//
// Its configuration is a list of paths with a space between them.
package main

import (
	"strconv"
	"strings"
)

// Nothing calls it: the host calls what is exported.
func main() {}

var (
	paths   []string
	refused int
)

//go:wasmexport proxy_on_configure
func onConfigure(root, size uint32) uint32 {
	paths = strings.Fields(configuration(size))
	if len(paths) == 0 {
		logError("pluginConfig: write the paths to refuse, with spaces between them")
		return 0
	}
	return 1
}

//go:wasmexport proxy_on_request_headers
func onRequestHeaders(context, fields, end uint32) uint32 {
	path := requestHeader(":path")
	for _, denied := range paths {
		if strings.HasPrefix(path, denied) {
			refused++
			reply(403, "not here\n", "x-refused", strconv.Itoa(refused))
			return hold
		}
	}
	return goOn
}
