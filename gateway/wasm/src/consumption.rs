//! What callbacks cost, for authors: fuel, of an engine that counts it, and memory.

use std::time::{Duration, Instant};

use crate::instance::Instance;
use crate::load_error::LoadError;
use crate::plugin::Plugin;
use crate::vm::Vm;

/// What an instance has used since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Consumption {
    /// Units of fuel, about one for each instruction of WebAssembly; `None` of an engine that counts none. What host calls
    /// do is not in it.
    pub fuel: Option<u64>,
    /// The most linear memory, in bytes.
    pub memory: usize,
}

impl Instance {
    /// What it has used so far; `None` while it runs or when it has failed. The cost of a callback is the difference of
    /// two.
    pub fn consumption(&self) -> Option<Consumption> {
        let vm = self.vm.take()?;
        let fuel = vm.store.get_fuel().ok().map(|left| u64::MAX - left);
        let memory = vm.store.data().account.held();
        self.vm.set(Some(vm));
        Some(Consumption { fuel, memory })
    }
}

impl Plugin {
    /// Starts one more instance, as for a worker, and drops it: how long that took, from instantiation to the end of
    /// `proxy_on_configure`.
    ///
    /// # Errors
    /// It does not start.
    pub fn time_start(&self) -> Result<Duration, LoadError> {
        let began = Instant::now();
        let vm = Vm::start(self.module().pre(), self.facts().clone(), self.watch())?;
        let took = began.elapsed();
        drop(vm);
        Ok(took)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use portcullis_telemetry::Registry;

    use crate::tests::{exchange, guest, settings};
    use crate::{EndOfStream, Engine, Plugin, WorkerInstances};

    /// What two requests cost, in fuel.
    fn fuel_of(engine: &Arc<Engine>, body: &str) -> Vec<Option<u64>> {
        let text = guest::module(&guest::on_request(body));
        let module = engine.compile(&wat::parse_str(text).unwrap()).unwrap();
        let settings = Arc::new(settings());
        let metrics = Registry::new().plugin_metrics("x");
        let plugin = Plugin::start(engine, &module, &settings, 1, metrics).unwrap();
        assert!(!plugin.time_start().unwrap().is_zero());
        let worker = WorkerInstances::new(0);
        let instance = worker.instance(&plugin).unwrap();
        let mut costs = Vec::new();
        for _ in 0..2 {
            let before = instance.consumption().unwrap();
            let (stream, mut exchange) = (instance.open_stream(), exchange());
            instance.on_request_headers(stream, &mut exchange, EndOfStream::Yes).unwrap();
            let after = instance.consumption().unwrap();
            assert_eq!(after.memory % 65_536, 0);
            costs.push(after.fuel.zip(before.fuel).map(|(after, before)| after - before));
        }
        costs
    }

    #[test]
    fn fuel_is_the_same_for_the_same_work_and_more_for_more() {
        let engine = Engine::counting_fuel().unwrap();
        let short = fuel_of(&engine, "");
        let long = fuel_of(
            &engine,
            "(global.set $next (i32.const 0))
             (loop $again
               (global.set $next (i32.add (global.get $next) (i32.const 1)))
               (br_if $again (i32.lt_u (global.get $next) (i32.const 1000))))
             (global.set $next (i32.const 32768))",
        );
        assert_eq!(short[0], short[1]);
        assert!(short[0].unwrap() > 0, "{short:?}");
        assert!(long[0].unwrap() > short[0].unwrap() + 4000, "{short:?} {long:?}");
    }

    #[test]
    fn the_engine_that_serves_counts_nothing() {
        let engine = Engine::new().unwrap();
        assert_eq!(fuel_of(&engine, ""), [None, None]);
    }
}
