//! `plugin bench`: what each callback of a filter costs, and how that has changed since the last time.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_wasm::Engine;

use crate::author_error::AuthorError;
use crate::bench_history::{keep, last_of};
use crate::bench_run::BenchRun;
use crate::callback_costs::{CallbackCost, CallbackCosts, median};
use crate::in_process::InProcess;
use crate::inspection::inspect;
use crate::measured_exchange::measure;
use crate::progress::Progress;
use crate::project::configuration_in;
use crate::sample::Sample;

/// Before these nothing is warm.
const WARMING: usize = 200;
/// So many exchanges are timed, or as many as pass in [`LONGEST`].
const TIMED: usize = 10_000;
/// A filter that is slow is not waited for.
const LONGEST: Duration = Duration::from_secs(2);
/// Fuel is the same each time, but for a filter that draws lots.
const COUNTED: usize = 21;
/// So often it is started.
const STARTS: usize = 11;

/// What is measured.
#[derive(Clone, Debug)]
pub struct BenchTask {
    /// The folder with `tests/`, `plugin.yaml` and `target/`.
    pub folder: PathBuf,
    /// The module.
    pub module: PathBuf,
    /// Its name, by which its last run is found.
    pub name: String,
}

/// A run, and the one before it of the same module's name and exchange.
#[derive(Clone, Debug)]
pub struct Bench {
    /// The module's name.
    pub name: String,
    /// This one.
    pub now: BenchRun,
    /// The last one.
    pub before: Option<BenchRun>,
}

/// Measures a module, and keeps the result in `target/portcullis/bench.json`.
///
/// # Errors
/// The module is none, or fails at the exchange; the result cannot be kept.
pub fn bench(
    task: &BenchTask,
    serving: &Arc<Engine>,
    progress: &Progress,
) -> Result<Bench, AuthorError> {
    let module =
        std::fs::read(&task.module).map_err(|error| AuthorError::file(&task.module, &error))?;
    let sample = Sample::of_project(&task.folder, configuration_in(&task.folder)?)?;
    progress.say(&format!("sending {} through {}", sample.name, task.name));
    let now = run(&module, &task.name, &sample, serving)?;
    let history = history(&task.folder);
    let before = last_of(&history, &task.name, &sample.name);
    keep(&history, &task.name, &now)?;
    Ok(Bench { name: task.name.clone(), now, before })
}

fn history(folder: &Path) -> PathBuf {
    folder.join("target/portcullis/bench.json")
}

fn run(
    module: &[u8],
    name: &str,
    sample: &Sample,
    serving: &Arc<Engine>,
) -> Result<BenchRun, AuthorError> {
    let mut costs = CallbackCosts::default();
    let timed = start(module, name, sample, serving)?;
    for _ in 0..WARMING {
        measure(&timed, sample, &mut CallbackCosts::default())?;
    }
    let (begun, mut exchanges) = (Instant::now(), 0);
    while exchanges < TIMED && begun.elapsed() < LONGEST {
        measure(&timed, sample, &mut costs)?;
        exchanges += 1;
    }
    count_fuel(module, name, sample, COUNTED, &mut costs)?;
    let exports = inspect(module, serving).exports;
    let has = |cost: &CallbackCost| cost.callback == "end" || exports.contains(&cost.callback);
    Ok(BenchRun {
        exchange: sample.name.clone(),
        module_bytes: module.len(),
        start_nanoseconds: time_starts(&timed)?,
        memory_bytes: timed.instance()?.consumption().unwrap_or_default().memory,
        callbacks: costs.medians(exchanges).into_iter().filter(has).collect(),
    })
}

fn start(
    module: &[u8],
    name: &str,
    sample: &Sample,
    engine: &Arc<Engine>,
) -> Result<InProcess, AuthorError> {
    let module =
        engine.compile(module).map_err(|error| AuthorError::Failure(format!("{name}: {error}")))?;
    InProcess::start(engine, &module, name, sample)
}

/// Fuel is counted by an engine of its own, whose code is slower.
fn count_fuel(
    module: &[u8],
    name: &str,
    sample: &Sample,
    exchanges: usize,
    costs: &mut CallbackCosts,
) -> Result<(), AuthorError> {
    let engine =
        Engine::counting_fuel().map_err(|error| AuthorError::Failure(error.to_string()))?;
    let counted = start(module, name, sample, &engine)?;
    for _ in 0..exchanges {
        measure(&counted, sample, costs)?;
    }
    Ok(())
}

fn time_starts(filter: &InProcess) -> Result<u64, AuthorError> {
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let took = filter
            .plugin
            .time_start()
            .map_err(|error| AuthorError::Failure(format!("the filter does not start: {error}")))?;
        starts.push(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }
    Ok(median(&starts))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Headers both ways, and a loop in the request's.
    const FILTER: &str = r#"(module
        (memory (export "memory") 2)
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "malloc") (param i32) (result i32) (i32.const 1024))
        (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) (i32.const 0))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (local $n i32)
          (loop $again
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $n) (i32.const ROUNDS))))
          (i32.const 0)))"#;

    fn bench_of(folder: &Path, rounds: &str) -> Bench {
        let module = folder.join("x.wasm");
        let bytes = wat::parse_str(FILTER.replace("ROUNDS", rounds)).unwrap();
        std::fs::write(&module, bytes).unwrap();
        let task = BenchTask { folder: folder.to_owned(), module, name: "x".to_owned() };
        bench(&task, &Engine::new().unwrap(), &Progress::hidden()).unwrap()
    }

    #[test]
    fn a_filter_that_does_more_costs_more_fuel_than_at_the_last_run() {
        let folder = tempfile::tempdir().unwrap();
        let first = bench_of(folder.path(), "10");
        assert_eq!(first.before, None);
        let second = bench_of(folder.path(), "1000");
        assert_eq!(second.before.as_ref(), Some(&first.now));
        let [request, response, end] = &second.now.callbacks[..] else {
            panic!("{:?}", second.now.callbacks)
        };
        assert_eq!(request.callback, "proxy_on_request_headers");
        assert_eq!(response.callback, "proxy_on_response_headers");
        assert_eq!((&*end.callback, request.calls), ("end", 1.0));
        assert!(request.fuel > first.now.callbacks[0].fuel * 10, "{request:?}");
        assert!(request.fuel > response.fuel && request.nanoseconds > 0);
        assert_eq!(second.now.memory_bytes, 131_072);
        assert!(second.now.start_nanoseconds > 0);
        let text = second.to_text();
        assert!(text.contains("proxy_on_request_headers") && text.contains("%"), "{text}");
    }

    #[test]
    fn a_filter_that_never_goes_on_is_said() {
        let holding = FILTER.replace("ROUNDS", "1").replace("(i32.const 0)))", "(i32.const 1)))");
        let folder = tempfile::tempdir().unwrap();
        let module = folder.path().join("x.wasm");
        std::fs::write(&module, wat::parse_str(holding).unwrap()).unwrap();
        let task = BenchTask { folder: folder.path().to_owned(), module, name: "x".to_owned() };
        let error = bench(&task, &Engine::new().unwrap(), &Progress::hidden()).unwrap_err();
        assert!(error.to_string().contains("holds the exchange"), "{error}");
    }
}
