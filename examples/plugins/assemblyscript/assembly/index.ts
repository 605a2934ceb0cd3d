// A filter in AssemblyScript: tells search engines what to do with a site, by the header that its configuration is.

// The entry points that the host calls.
export * from "@solo-io/proxy-runtime/proxy";
import {
  Context,
  FilterHeadersStatusValues,
  LogLevelValues,
  RootContext,
  log,
  registerRootContext,
  stream_context,
} from "@solo-io/proxy-runtime";
import { BufferTypeValues, get_buffer_bytes } from "@solo-io/proxy-runtime/runtime";

class RobotsRoot extends RootContext {
  tag: string = "";

  // In the place of the SDK's own `getConfiguration`, which finds nothing in version 0.1.8.
  onConfigure(size: u32): bool {
    if (size == 0) {
      log(LogLevelValues.error, "pluginConfig: write what search engines are to do, as in \"noindex\"");
      return false;
    }
    this.tag = String.UTF8.decode(get_buffer_bytes(BufferTypeValues.PluginConfiguration, 0, size));
    return true;
  }

  createContext(id: u32): Context {
    return new Robots(id, this);
  }
}

class Robots extends Context {
  onResponseHeaders(count: u32, endOfStream: bool): FilterHeadersStatusValues {
    const root = changetype<RobotsRoot>(this.root_context);
    stream_context.headers.response.replace("x-robots-tag", root.tag);
    return FilterHeadersStatusValues.Continue;
  }
}

registerRootContext((id: u32) => new RobotsRoot(id), "");
