//! Work on many things at once, on the control side.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// So many things are taken up at once.
const BATCH: usize = 64;

/// What `work` makes of each thing, in their order. Below `serial` things the calling thread does it alone, else as
/// many threads as there are cores. For the control side: it waits for all of them.
pub fn map_at_once<T: Sync, U: Send>(
    things: &[T],
    serial: usize,
    work: impl Fn(&T) -> U + Sync,
) -> Vec<U> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = cores.min(things.len().div_ceil(BATCH));
    if things.len() < serial || threads < 2 {
        return things.iter().map(work).collect();
    }
    let batches: Vec<&[T]> = things.chunks(BATCH).collect();
    let next = AtomicUsize::new(0);
    let mut done: Vec<(usize, Vec<U>)> = thread::scope(|scope| {
        let run = || take_batches(&batches, &next, &work);
        let others: Vec<_> = (1..threads)
            .filter_map(|_| thread::Builder::new().spawn_scoped(scope, run).ok())
            .collect();
        let mut done = run();
        done.extend(others.into_iter().filter_map(|other| other.join().ok()).flatten());
        done
    });
    done.sort_unstable_by_key(|(batch, _)| *batch);
    let mut done = done.into_iter().peekable();
    let mut made = Vec::with_capacity(things.len());
    for (number, batch) in batches.iter().enumerate() {
        match done.next_if(|(batch, _)| *batch == number) {
            Some((_, batch)) => made.extend(batch),
            // Its thread panicked; if this one does too, it is not in silence.
            None => made.extend(batch.iter().map(&work)),
        }
    }
    made
}

fn take_batches<T, U>(
    batches: &[&[T]],
    next: &AtomicUsize,
    work: &impl Fn(&T) -> U,
) -> Vec<(usize, Vec<U>)> {
    let numbers = std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)));
    let taken = numbers.map_while(|number| Some((number, batches.get(number)?)));
    taken.map(|(number, batch)| (number, batch.iter().map(work).collect())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_the_things() {
        let things: Vec<u32> = (0..1000).collect();
        for serial in [0, 1001] {
            let made = map_at_once(&things, serial, |thing| thing * 2);
            assert!(made.iter().copied().eq((0..1000).map(|thing| thing * 2)));
        }
        assert!(map_at_once(&[] as &[u32], 0, |thing| *thing).is_empty());
    }
}
