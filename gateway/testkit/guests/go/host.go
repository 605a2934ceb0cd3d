// The host calls that the filter needs, written for it from the Proxy-Wasm specification.
package main

import (
	"encoding/binary"
	"unsafe"
)

// Statuses of host calls.
const (
	ok          = 0
	notFound    = 1
	casMismatch = 8
)

// Actions of callbacks.
const (
	goOn = 0
	hold = 1
)

// Maps and buffers.
const (
	requestHeaders  = 0
	responseHeaders = 2
	replyHeaders    = 6
	requestBody     = 0
	responseBody    = 1
	configuration   = 7
)

//go:wasmimport env proxy_log
func proxyLog(level uint32, text *byte, length uint32) uint32

//go:wasmimport env proxy_get_buffer_bytes
func proxyGetBufferBytes(kind, start, most uint32, data, length *uint32) uint32

//go:wasmimport env proxy_set_buffer_bytes
func proxySetBufferBytes(kind, start, size uint32, data *byte, length uint32) uint32

//go:wasmimport env proxy_get_header_map_value
func proxyGetHeader(kind uint32, name *byte, nameLength uint32, data, length *uint32) uint32

//go:wasmimport env proxy_add_header_map_value
func proxyAddHeader(kind uint32, name *byte, nameLength uint32, value *byte, length uint32) uint32

//go:wasmimport env proxy_replace_header_map_value
func proxyReplaceHeader(kind uint32, name *byte, nameLength uint32, value *byte, length uint32) uint32

//go:wasmimport env proxy_remove_header_map_value
func proxyRemoveHeader(kind uint32, name *byte, nameLength uint32) uint32

//go:wasmimport env proxy_continue_stream
func proxyContinueStream(kind uint32) uint32

//go:wasmimport env proxy_send_local_response
func proxySendLocalResponse(status uint32, details *byte, detailsLength uint32, body *byte, bodyLength uint32, headers *byte, headersLength uint32, grpc int32) uint32

//go:wasmimport env proxy_http_call
func proxyHTTPCall(cluster *byte, clusterLength uint32, headers *byte, headersLength uint32, body *byte, bodyLength uint32, trailers *byte, trailersLength uint32, timeout uint32, call *uint32) uint32

//go:wasmimport env proxy_get_shared_data
func proxyGetSharedData(key *byte, keyLength uint32, data, length *uint32, cas *uint32) uint32

//go:wasmimport env proxy_set_shared_data
func proxySetSharedData(key *byte, keyLength uint32, value *byte, length uint32, cas uint32) uint32

//go:wasmimport env proxy_set_effective_context
func proxySetEffectiveContext(context uint32) uint32

// What the host was given, by address, kept until it has been taken. Addresses have 32 bits for the host.
var given = map[uint32][]byte{}

//go:wasmexport proxy_on_memory_allocate
func allocate(size uint32) uint32 {
	block := make([]byte, max(size, 1))
	address := uint32(uintptr(unsafe.Pointer(&block[0])))
	given[address] = block
	return address
}

//go:wasmexport proxy_abi_version_0_2_1
func abiVersion() {}

func take(data, length uint32) []byte {
	block := given[data]
	delete(given, data)
	return block[:min(length, uint32(len(block)))]
}

func text(value string) (*byte, uint32) {
	return unsafe.StringData(value), uint32(len(value))
}

func must(status uint32) {
	if status != ok {
		panic("a host call was refused")
	}
}

func buffer(kind, start, most uint32) []byte {
	var data, length uint32
	if proxyGetBufferBytes(kind, start, most, &data, &length) != ok {
		return nil
	}
	return take(data, length)
}

func setBuffer(kind, start, size uint32, value string) {
	data, length := text(value)
	must(proxySetBufferBytes(kind, start, size, data, length))
}

func header(kind uint32, name string) string {
	var data, length uint32
	key, keyLength := text(name)
	if proxyGetHeader(kind, key, keyLength, &data, &length) != ok {
		return ""
	}
	return string(take(data, length))
}

func addHeader(kind uint32, name, value string) {
	key, keyLength := text(name)
	data, length := text(value)
	must(proxyAddHeader(kind, key, keyLength, data, length))
}

func replaceHeader(kind uint32, name, value string) {
	key, keyLength := text(name)
	data, length := text(value)
	must(proxyReplaceHeader(kind, key, keyLength, data, length))
}

func removeHeader(kind uint32, name string) {
	key, keyLength := text(name)
	must(proxyRemoveHeader(kind, key, keyLength))
}

func localResponse(status uint32, body string) {
	data, length := text(body)
	must(proxySendLocalResponse(status, nil, 0, data, length, nil, 0, -1))
}

// httpCall returns the call's number, 0 where it was refused.
func httpCall(cluster string, head [][2]string, timeout uint32) uint32 {
	var call uint32
	name, nameLength := text(cluster)
	headers := encode(head)
	if proxyHTTPCall(name, nameLength, &headers[0], uint32(len(headers)), nil, 0, nil, 0, timeout, &call) != ok {
		return 0
	}
	return call
}

func sharedData(key string) ([]byte, uint32) {
	var data, length, cas uint32
	name, nameLength := text(key)
	switch proxyGetSharedData(name, nameLength, &data, &length, &cas) {
	case ok:
		return take(data, length), cas
	case notFound:
		return nil, cas
	}
	panic("shared data was refused")
}

// setSharedData says whether it was stored; it was not where another was faster.
func setSharedData(key string, value []byte, cas uint32) bool {
	name, nameLength := text(key)
	status := proxySetSharedData(name, nameLength, &value[0], uint32(len(value)), cas)
	if status != casMismatch {
		must(status)
	}
	return status == ok
}

// encode writes pairs in the map format.
func encode(pairs [][2]string) []byte {
	bytes := binary.LittleEndian.AppendUint32(nil, uint32(len(pairs)))
	for _, pair := range pairs {
		bytes = binary.LittleEndian.AppendUint32(bytes, uint32(len(pair[0])))
		bytes = binary.LittleEndian.AppendUint32(bytes, uint32(len(pair[1])))
	}
	for _, pair := range pairs {
		bytes = append(append(bytes, pair[0]...), 0)
		bytes = append(append(bytes, pair[1]...), 0)
	}
	return bytes
}
