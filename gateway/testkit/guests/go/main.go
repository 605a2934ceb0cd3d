// What real filters do, in Go; the same as examples/verdict.rs, where it is written down.
package main

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"
)

func main() {}

var task, cluster string

// By context.
var paths = map[uint32]string{}

// The context that awaits a call.
var awaiting = map[uint32]uint32{}

//go:wasmexport proxy_on_context_create
func onContextCreate(context, parent uint32) {}

//go:wasmexport proxy_on_vm_start
func onVMStart(context, size uint32) uint32 { return 1 }

//go:wasmexport proxy_on_configure
func onConfigure(context, size uint32) uint32 {
	task, cluster, _ = strings.Cut(string(buffer(configuration, 0, size)), " ")
	return 1
}

//go:wasmexport proxy_on_request_headers
func onRequestHeaders(context, fields, end uint32) uint32 {
	paths[context] = header(requestHeaders, ":path")
	switch task {
	case "header":
		addHeader(requestHeaders, "x-guest", "go")
	case "body":
		removeHeader(requestHeaders, "content-length")
	case "call":
		return ask(context)
	}
	return goOn
}

func ask(context uint32) uint32 {
	head := [][2]string{{":method", "GET"}, {":path", header(requestHeaders, "x-ask")}, {":authority", "auth.example"}}
	call := httpCall(cluster, head, 5000)
	if call == 0 {
		localResponse(500, "no such cluster")
	} else {
		awaiting[call] = context
	}
	return hold
}

//go:wasmexport proxy_on_http_call_response
func onHTTPCallResponse(root, call, fields, size, trailers uint32) {
	context, known := awaiting[call]
	if !known {
		return
	}
	delete(awaiting, call)
	status := header(replyHeaders, ":status")
	user := header(replyHeaders, "x-upstream")
	must(proxySetEffectiveContext(context))
	if status == "200" {
		replaceHeader(requestHeaders, "x-user", user)
		must(proxyContinueStream(0))
	} else {
		localResponse(403, "denied: "+status)
	}
}

//go:wasmexport proxy_on_request_body
func onRequestBody(context, size, end uint32) uint32 {
	if task != "body" {
		return goOn
	}
	if end == 0 {
		return hold
	}
	setBuffer(requestBody, 0, size, string(bytes.ToUpper(buffer(requestBody, 0, size))))
	return goOn
}

//go:wasmexport proxy_on_response_headers
func onResponseHeaders(context, fields, end uint32) uint32 {
	switch task {
	case "header":
		addHeader(responseHeaders, "x-guest-path", paths[context])
	case "body":
		removeHeader(responseHeaders, "content-length")
	case "shared":
		addHeader(responseHeaders, "x-count", strconv.FormatUint(count(), 10))
	}
	return goOn
}

func count() uint64 {
	for {
		value, cas := sharedData("count")
		number := uint64(1)
		if len(value) == 8 {
			number += binary.LittleEndian.Uint64(value)
		}
		if setSharedData("count", binary.LittleEndian.AppendUint64(nil, number), cas) {
			return number
		}
	}
}

//go:wasmexport proxy_on_response_body
func onResponseBody(context, size, end uint32) uint32 {
	if task == "body" && end != 0 {
		setBuffer(responseBody, size, 0, "!")
	}
	return goOn
}

//go:wasmexport proxy_on_done
func onDone(context uint32) uint32 { return 1 }

//go:wasmexport proxy_on_delete
func onDelete(context uint32) { delete(paths, context) }
