//! Host calls that are not served yet. They link, so that modules which merely import them run; a plugin that
//! uses one gets a status which SDKs survive, and the log says so once.

use wasmtime::{FuncType, Linker, Val, ValType};

use crate::abi::Status;
use crate::guest::{Guest, memory_and_state, write_u32};
use crate::state::GuestState;

struct Unserved {
    name: &'static str,
    /// All arguments are i32.
    arguments: usize,
    status: Status,
    /// The arguments that are out-pointers of numbers, which are set to 0.
    outputs: &'static [usize],
}

const fn unserved(name: &'static str, arguments: usize, status: Status) -> Unserved {
    Unserved { name, arguments, status, outputs: &[] }
}

const CALLS: [Unserved; 14] = [
    unserved("proxy_set_tick_period_milliseconds", 1, Status::Ok),
    Unserved { name: "proxy_get_status", arguments: 3, status: Status::Ok, outputs: &[0, 1, 2] },
    unserved("proxy_http_call", 10, Status::InternalFailure),
    unserved("proxy_grpc_call", 12, Status::InternalFailure),
    unserved("proxy_grpc_stream", 9, Status::InternalFailure),
    unserved("proxy_grpc_send", 4, Status::Ok),
    unserved("proxy_grpc_cancel", 1, Status::Ok),
    unserved("proxy_grpc_close", 1, Status::Ok),
    unserved("proxy_get_shared_data", 5, Status::NotFound),
    unserved("proxy_set_shared_data", 5, Status::Ok),
    Unserved {
        name: "proxy_register_shared_queue",
        arguments: 3,
        status: Status::Ok,
        outputs: &[2],
    },
    unserved("proxy_resolve_shared_queue", 5, Status::NotFound),
    unserved("proxy_enqueue_shared_queue", 3, Status::NotFound),
    unserved("proxy_dequeue_shared_queue", 3, Status::Empty),
];

pub(super) fn link(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    for (index, call) in CALLS.iter().enumerate() {
        let arguments = std::iter::repeat_n(ValType::I32, call.arguments);
        let signature = FuncType::new(linker.engine(), arguments, [ValType::I32]);
        linker.func_new("env", call.name, signature, move |guest, arguments, results| {
            let status = answer(guest, index, call, arguments);
            if let Some(result) = results.first_mut() {
                *result = Val::I32(status as i32);
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn answer(mut guest: Guest<'_>, index: usize, call: &Unserved, arguments: &[Val]) -> Status {
    let state = guest.data_mut();
    let mark = 1_u64 << index;
    if state.unserved_logged & mark == 0 {
        state.unserved_logged |= mark;
        let plugin = &*state.facts.name;
        tracing::warn!(
            target: "plugin",
            plugin,
            "calls {}, which this version does not serve; it has no effect",
            call.name
        );
    }
    let Ok((memory, _)) = memory_and_state(&mut guest) else { return Status::InternalFailure };
    for output in call.outputs {
        let address = arguments.get(*output).and_then(Val::i32).unwrap_or(0);
        if write_u32(memory, address.cast_unsigned(), 0).is_err() {
            return Status::InvalidMemoryAccess;
        }
    }
    call.status
}
