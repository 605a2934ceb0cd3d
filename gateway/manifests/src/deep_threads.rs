//! Work on many documents at once, on stacks that the deepest of them cannot exhaust.

use std::thread::{ScopedJoinHandle, available_parallelism, scope};

use crate::yaml::deep_thread;

/// So many documents are worked on by one thread before another is worth its start.
const DOCUMENTS_OF_A_THREAD: usize = 256;
/// Configuration is not worth more processors than these: others serve meanwhile.
const MOST_THREADS: usize = 4;

/// What `work` makes of documents, which it gets in parts; in their order.
pub(crate) fn in_parts<T: Sync, U: Send>(
    documents: &[T],
    work: impl Fn(&[T]) -> Vec<U> + Sync,
) -> Vec<U> {
    if documents.is_empty() {
        return Vec::new();
    }
    let processors = available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let threads = documents.len().div_ceil(DOCUMENTS_OF_A_THREAD).clamp(1, processors);
    let part = documents.len().div_ceil(threads).max(1);
    let work = &work;
    scope(|scope| {
        let start = |part| (part, deep_thread().spawn_scoped(scope, move || work(part)));
        let parts: Vec<_> = documents.chunks(part).map(start).collect();
        // Where no thread can be had, the caller's own stack has to do.
        let finish = |(part, thread): (&[T], Result<ScopedJoinHandle<'_, _>, _>)| {
            thread.map_or_else(|_| work(part), |thread| joined(thread))
        };
        parts.into_iter().flat_map(finish).collect()
    })
}

fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
