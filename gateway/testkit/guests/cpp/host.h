// The host calls that the filter needs, written for it from the Proxy-Wasm specification.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#define HOST(name) extern "C" __attribute__((import_module("env"), import_name(#name))) uint32_t name
#define GUEST(name) extern "C" __attribute__((export_name(#name)))

HOST(proxy_get_buffer_bytes)(uint32_t kind, uint32_t start, uint32_t most, char** data, size_t* length);
HOST(proxy_set_buffer_bytes)(uint32_t kind, uint32_t start, uint32_t size, const char* data, size_t length);
HOST(proxy_get_header_map_value)(uint32_t map, const char* name, size_t name_length, char** data, size_t* length);
HOST(proxy_add_header_map_value)(uint32_t map, const char* name, size_t name_length, const char* value, size_t length);
HOST(proxy_replace_header_map_value)(uint32_t map, const char* name, size_t name_length, const char* value, size_t length);
HOST(proxy_remove_header_map_value)(uint32_t map, const char* name, size_t name_length);
HOST(proxy_continue_stream)(uint32_t stream);
HOST(proxy_send_local_response)(uint32_t status, const char* details, size_t details_length, const char* body, size_t body_length, const char* headers, size_t headers_length, int32_t grpc);
HOST(proxy_http_call)(const char* cluster, size_t cluster_length, const char* headers, size_t headers_length, const char* body, size_t body_length, const char* trailers, size_t trailers_length, uint32_t timeout, uint32_t* call);
HOST(proxy_get_shared_data)(const char* key, size_t key_length, char** data, size_t* length, uint32_t* cas);
HOST(proxy_set_shared_data)(const char* key, size_t key_length, const char* value, size_t length, uint32_t cas);
HOST(proxy_set_effective_context)(uint32_t context);

enum Status : uint32_t { Ok = 0, NotFound = 1, CasMismatch = 8 };
enum Action : uint32_t { GoOn = 0, Hold = 1 };
enum Map : uint32_t { RequestHeaders = 0, ResponseHeaders = 2, ReplyHeaders = 6 };
enum Buffer : uint32_t { RequestBody = 0, ResponseBody = 1, Configuration = 7 };

inline void must(uint32_t status) {
    if (status != Ok) __builtin_trap();
}

// What the host has put into memory by `malloc`.
inline std::string take(char* data, size_t length) {
    std::string taken(data ? data : "", data ? length : 0);
    free(data);
    return taken;
}

inline std::string buffer(uint32_t kind, uint32_t start, uint32_t most) {
    char* data = nullptr;
    size_t length = 0;
    return proxy_get_buffer_bytes(kind, start, most, &data, &length) == Ok ? take(data, length) : "";
}

inline std::string header(uint32_t map, std::string_view name) {
    char* data = nullptr;
    size_t length = 0;
    return proxy_get_header_map_value(map, name.data(), name.size(), &data, &length) == Ok ? take(data, length) : "";
}

inline void local_response(uint32_t status, std::string_view body) {
    must(proxy_send_local_response(status, nullptr, 0, body.data(), body.size(), nullptr, 0, -1));
}

// Pairs in the map format.
inline std::string encode(const std::vector<std::pair<std::string, std::string>>& pairs) {
    std::string bytes;
    auto number = [&](uint32_t value) { bytes.append(reinterpret_cast<const char*>(&value), sizeof value); };
    number(pairs.size());
    for (auto& [name, value] : pairs) number(name.size()), number(value.size());
    for (auto& [name, value] : pairs) bytes.append(name.c_str(), name.size() + 1).append(value.c_str(), value.size() + 1);
    return bytes;
}
