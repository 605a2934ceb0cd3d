// What of the Proxy-Wasm host interface the filter uses: https://github.com/proxy-wasm/spec, version 0.2.1.
package main

import (
	"encoding/binary"
	"unsafe"
)

// What a callback answers for a message.
const (
	goOn = 0
	hold = 1
)

const (
	statusOK            = 0
	levelError          = 4
	mapRequestHeaders   = 0
	bufferConfiguration = 7
)

//go:wasmimport env proxy_log
func proxyLog(level uint32, text *byte, length uint32) uint32

//go:wasmimport env proxy_get_buffer_bytes
func proxyGetBufferBytes(kind, start, most uint32, data, length *uint32) uint32

//go:wasmimport env proxy_get_header_map_value
func proxyGetHeader(kind uint32, name *byte, nameLength uint32, data, length *uint32) uint32

//go:wasmimport env proxy_send_local_response
func proxySendLocalResponse(status uint32, details *byte, detailsLength uint32, body *byte, bodyLength uint32, headers *byte, headersLength uint32, grpc int32) uint32

//go:wasmexport proxy_abi_version_0_2_1
func abiVersion() {}

//go:wasmexport proxy_on_context_create
func onContextCreate(context, parent uint32) {}

//go:wasmexport proxy_on_vm_start
func onVMStart(root, size uint32) uint32 { return 1 }

// What the host was given to write into, by address: it is held until it is taken.
var given = map[uint32][]byte{}

//go:wasmexport proxy_on_memory_allocate
func allocate(size uint32) uint32 {
	block := make([]byte, max(size, 1))
	address := uint32(uintptr(unsafe.Pointer(&block[0])))
	given[address] = block
	return address
}

func take(address, length uint32) string {
	block := given[address]
	delete(given, address)
	return string(block[:min(length, uint32(len(block)))])
}

func pointer(text string) (*byte, uint32) {
	return unsafe.StringData(text), uint32(len(text))
}

func configuration(size uint32) string {
	var data, length uint32
	if proxyGetBufferBytes(bufferConfiguration, 0, size, &data, &length) != statusOK {
		return ""
	}
	return take(data, length)
}

func requestHeader(name string) string {
	var data, length uint32
	key, keyLength := pointer(name)
	if proxyGetHeader(mapRequestHeaders, key, keyLength, &data, &length) != statusOK {
		return ""
	}
	return take(data, length)
}

func logError(text string) {
	data, length := pointer(text)
	proxyLog(levelError, data, length)
}

// reply answers the request itself, with one header.
func reply(status uint32, body, name, value string) {
	data, length := pointer(body)
	headers := binary.LittleEndian.AppendUint32(nil, 1)
	headers = binary.LittleEndian.AppendUint32(headers, uint32(len(name)))
	headers = binary.LittleEndian.AppendUint32(headers, uint32(len(value)))
	headers = append(append(headers, name...), 0)
	headers = append(append(headers, value...), 0)
	if proxySendLocalResponse(status, nil, 0, data, length, &headers[0], uint32(len(headers)), -1) != statusOK {
		panic("the host sends no reply")
	}
}
