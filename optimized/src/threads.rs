//! Work on several threads. The only file that names rayon.
//!
//! Work comes as a queue of items that a problem's shape alone decides on, never the number of threads: each thread takes
//! the next item until none is left, the caller's thread among them. So the caller starts at once, whether or not another
//! thread has woken up yet, and results are the same, to the last bit, for any number of threads.

use crate::memory;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::hint::spin_loop;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::available_parallelism;

/// More threads than this, or than the machine runs at once where that is more, are never started.
const MOST: usize = 16;

/// How many threads a layer may work on, the caller's own included.
///
/// Pools of threads are kept, one for each number asked for. A number beyond the larger of 16 and the machine's own
/// parallelism is taken for that, so that asking for thousands does not exhaust the machine. On one thread, nothing but
/// the caller's thread is used.
///
/// ```
/// use optimized::Threads;
/// use std::num::NonZeroUsize;
/// assert_eq!(Threads::new(NonZeroUsize::MIN).get(), 1);
/// assert!(Threads::default().get() >= 1);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Threads(NonZeroUsize);

/// The number of threads that the machine runs at once; asked for once, since the answer is read from files.
fn parallelism() -> NonZeroUsize {
    static PARALLELISM: OnceLock<NonZeroUsize> = OnceLock::new();
    *PARALLELISM.get_or_init(|| available_parallelism().unwrap_or(NonZeroUsize::MIN))
}

impl Default for Threads {
    /// As many as the machine runs at once.
    fn default() -> Self {
        Self(parallelism())
    }
}

impl Threads {
    /// The caller's thread alone.
    pub(crate) const ONE: Self = Self(NonZeroUsize::MIN);

    /// Exactly `n` threads.
    pub fn new(n: NonZeroUsize) -> Self {
        Self(n)
    }

    /// The number asked for.
    pub fn get(self) -> usize {
        self.0.get()
    }

    /// The number that work really runs on.
    fn at_work(self) -> usize {
        self.get().min(parallelism().get().max(MOST))
    }
}

/// Locks; what a panic has left there is no matter, since nothing is left half done.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From so many multiply-adds on, 30 µs of work, another thread is worth its waking, which takes 10 to 20 µs.
pub const WORK_OF_THREADS: usize = 1 << 20;

/// The threads that so many multiply-adds are done by.
pub fn worth_their_waking(threads: Threads, work: usize) -> Threads {
    if work < WORK_OF_THREADS { Threads::ONE } else { threads }
}

/// A pool of `helpers` threads beside the caller's, or none where the machine refuses them.
fn pool(helpers: usize) -> Option<Arc<ThreadPool>> {
    static POOLS: Mutex<Vec<(usize, Arc<ThreadPool>)>> = Mutex::new(Vec::new());
    let mut pools = lock(&POOLS);
    if let Some((_, pool)) = pools.iter().find(|(size, _)| *size == helpers) {
        return Some(Arc::clone(pool));
    }
    let name = move |i| format!("optimized-{helpers}-{i}");
    let pool = Arc::new(ThreadPoolBuilder::new().num_threads(helpers).thread_name(name).build().ok()?);
    pools.push((helpers, Arc::clone(&pool)));
    Some(pool)
}

/// Does `work` on every item, on as many threads as there are items for; all of them take scratch memory from the caller's workspace.
///
/// Entering the pool costs 1 to 10 µs, the waking of a thread, so callers make items of at least several µs each.
pub fn for_each<I: Send>(threads: Threads, items: impl ExactSizeIterator<Item = I> + Send, work: impl Fn(I) + Sync) {
    let helpers = threads.at_work().min(items.len()).saturating_sub(1);
    let pool = if helpers == 0 { None } else { pool(threads.at_work() - 1) };
    let Some(pool) = pool else {
        return items.for_each(work);
    };
    let queue = Mutex::new(items);
    let workspace = memory::current();
    let run = || {
        loop {
            // Bound to a name, so that the lock is released before the work.
            let next = lock(&queue).next();
            match next {
                Some(item) => work(item),
                None => break,
            }
        }
    };
    let at_work = AtomicUsize::new(helpers);
    pool.in_place_scope(|scope| {
        for _ in 0..helpers {
            scope.spawn(|_| {
                let _leave = Leave(&at_work);
                let _workspace = memory::enter(workspace.clone());
                run();
            });
        }
        run();
        // The others are at their last items, or waking up.
        for _ in 0..SPINS {
            if at_work.load(Ordering::Acquire) == 0 {
                break;
            }
            spin_loop();
        }
    });
}

/// How often the caller looks whether the others have ended, before it goes to sleep: for 28 µs on Zen 4. To be woken takes 10
/// to 20, and to go to sleep some more.
const SPINS: usize = 1 << 10;

/// One fewer is at work when this is dropped, after a panic, too.
struct Leave<'a>(&'a AtomicUsize);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn threads(n: usize) -> Threads {
        Threads::new(NonZeroUsize::new(n).unwrap())
    }

    #[test]
    fn every_item_is_worked_on_once() {
        for n in [1, 2, 3, 100_000] {
            let mut counts = vec![0; 1000];
            for_each(threads(n), counts.iter_mut(), |count| *count += 1);
            assert!(counts.iter().all(|&count| count == 1), "{n} threads");
        }
    }

    #[test]
    fn no_more_threads_work_than_were_asked_for() {
        for n in [1, 2, 3] {
            let seen = Mutex::new(HashSet::new());
            let items = AtomicUsize::new(0);
            for_each(threads(n), 0..200, |_| {
                items.fetch_add(1, Ordering::Relaxed);
                lock(&seen).insert(std::thread::current().id());
                std::thread::yield_now();
            });
            assert_eq!(items.into_inner(), 200);
            assert!(lock(&seen).len() <= n, "{n} threads");
        }
    }

    /// The names of the threads that work on `n` items, each of which waits until as many threads work as there are items; fewer
    /// where that takes 20 s.
    fn at_once(n: usize) -> HashSet<Option<String>> {
        let names = Mutex::new(HashSet::new());
        for_each(threads(n), 0..n, |_| {
            lock(&names).insert(std::thread::current().name().map(str::to_owned));
            let start = std::time::Instant::now();
            while lock(&names).len() < n && start.elapsed().as_secs() < 20 {
                std::thread::yield_now();
            }
        });
        names.into_inner().unwrap()
    }

    #[test]
    fn threads_work_at_the_same_time_in_a_pool_of_their_number() {
        for n in [2, 3, 2, 4] {
            let mut due: HashSet<_> = (0..n - 1).map(|i| Some(format!("optimized-{}-{i}", n - 1))).collect();
            due.insert(std::thread::current().name().map(str::to_owned));
            assert_eq!(at_once(n), due);
        }
    }

    #[test]
    fn thousands_of_threads_are_never_started() {
        assert_eq!((threads(5).get(), threads(5).at_work()), (5, 5));
        assert_eq!(threads(100_000).get(), 100_000);
        assert_eq!(threads(100_000).at_work(), available_parallelism().map_or(16, |n| n.get().max(16)));
    }

    #[test]
    fn callers_may_be_many() {
        let total = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for_each(threads(2), 0..100, |_| {
                        total.fetch_add(1, Ordering::Relaxed);
                    })
                });
            }
        });
        assert_eq!(total.into_inner(), 400);
    }
}
