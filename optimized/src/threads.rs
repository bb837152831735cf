//! Work on several threads. The only file that names rayon.
//!
//! Work comes as a queue of items that a problem's shape alone decides on, never the number of threads: each thread takes
//! the next item until none is left, the caller's thread among them. So the caller starts at once, whether or not another
//! thread has woken up yet, and results are the same, to the last bit, for any number of threads. Nor does it wait for one that
//! has not when nothing is left to do: rayon's scopes do, 50 µs and more on a machine that is busy elsewhere. Threads that have helped
//! look for the next call for a while before they sleep, so that calls that follow on each other need not wake them.

use crate::memory;
use crate::simd::Arrival;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::any::Any;
use std::collections::VecDeque;
use std::hint::spin_loop;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::available_parallelism;
use std::time::Instant;

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

/// Threads that help callers.
struct Pool {
    threads: ThreadPool,
    calls: Mutex<Calls>,
    /// How often anyone has asked for help, to be looked at without a lock.
    asked: AtomicUsize,
    /// When the last light call ended, in nanoseconds after `since`; 0 before the first has.
    last_light: AtomicU64,
    since: Instant,
}

/// The calls that wait for help, as often as they have asked for it.
#[derive(Default)]
struct Calls {
    waiting: VecDeque<Arc<Help>>,
    /// Threads that help, look for calls to help, or are on their way.
    awake: usize,
    /// Those of them that do not help.
    idle: usize,
}

/// A pool of `helpers` threads beside the caller's, or none where the machine refuses them.
fn pool(helpers: usize) -> Option<Arc<Pool>> {
    static POOLS: Mutex<Vec<(usize, Arc<Pool>)>> = Mutex::new(Vec::new());
    let mut pools = lock(&POOLS);
    if let Some((_, pool)) = pools.iter().find(|(size, _)| *size == helpers) {
        return Some(Arc::clone(pool));
    }
    let pool = Pool::new(helpers)?;
    pools.push((helpers, Arc::clone(&pool)));
    Some(pool)
}

impl Pool {
    fn new(helpers: usize) -> Option<Arc<Self>> {
        let name = move |i| format!("optimized-{helpers}-{i}");
        let threads = ThreadPoolBuilder::new().num_threads(helpers).thread_name(name).build().ok()?;
        let (calls, asked, last_light) = (Mutex::default(), AtomicUsize::new(0), AtomicU64::new(0));
        Some(Arc::new(Self { threads, calls, asked, last_light, since: Instant::now() }))
    }

    /// Asks so many threads for help; wakes as many as are missing of those that are awake and have nothing to do.
    fn ask(self: &Arc<Self>, helpers: usize, help: &Arc<Help>) {
        let missing = {
            let mut calls = lock(&self.calls);
            calls.waiting.extend(std::iter::repeat_n(Arc::clone(help), helpers));
            let missing = calls.waiting.len().saturating_sub(calls.idle).min(helpers);
            let missing = missing.min(self.threads.current_num_threads() - calls.awake);
            calls.awake += missing;
            calls.idle += missing;
            missing
        };
        self.asked.fetch_add(1, Ordering::Release);
        for _ in 0..missing {
            let pool = Arc::clone(self);
            self.threads.spawn(move || pool.help_all());
        }
    }

    /// Helps until no call waits, nor has begun to for a while.
    fn help_all(&self) {
        let (mut spins, mut has_helped) = (SPINS, false);
        loop {
            let asked = self.asked.load(Ordering::Acquire);
            let help = {
                let mut calls = lock(&self.calls);
                calls.idle += usize::from(has_helped);
                let help = calls.waiting.pop_front();
                calls.idle -= usize::from(help.is_some() || spins == 0);
                if help.is_none() && spins == 0 {
                    calls.awake -= 1;
                    return;
                }
                help
            };
            has_helped = help.is_some();
            spins = match help {
                Some(help) => {
                    help.give();
                    SPINS
                }
                // Whoever else asks has helpers of its own: to look again takes what is left of the while.
                None => spin_until(spins, || self.asked.load(Ordering::Acquire) != asked),
            };
        }
    }

    /// How many threads a light call that begins now asks for help, of so many: of those that sleep none, unless light calls follow on
    /// each other so closely that who wakes up for this one helps the next.
    fn helpers_of_light(&self, helpers: usize) -> usize {
        let last = self.last_light.load(Ordering::Relaxed);
        if last > 0 && self.now().saturating_sub(last) < CLOSE { helpers } else { helpers.min(lock(&self.calls).idle) }
    }

    /// Nanoseconds after `since`.
    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1)
    }

    /// Forgets what a call has asked for.
    fn forget(&self, help: &Arc<Help>) {
        lock(&self.calls).waiting.retain(|other| !Arc::ptr_eq(other, help));
    }
}

/// Does `work` on every item, on as many threads as there are items for; all of them take scratch memory from the caller's workspace.
///
/// Where threads sleep, to wake them takes 10 to 20 µs, so callers make items of about 10 µs each, but for light work
/// ([`for_each_of`]).
pub fn for_each<I: Send>(threads: Threads, items: impl ExactSizeIterator<Item = I> + Send, work: impl Fn(I) + Sync) {
    for_each_of(false, threads, items, work);
}

/// The same, of work that may be light: in all about as long as it takes to wake a thread. With that, others help where they are awake
/// and have nothing to do, or where such calls follow closely on each other.
pub fn for_each_of<I: Send>(
    is_light: bool,
    threads: Threads,
    items: impl ExactSizeIterator<Item = I> + Send,
    work: impl Fn(I) + Sync,
) {
    let helpers = threads.at_work().min(items.len()).saturating_sub(1);
    let pool = if helpers == 0 { None } else { pool(threads.at_work() - 1) };
    with_pool(pool.as_ref(), helpers, is_light, items, work);
}

fn with_pool<I: Send>(
    pool: Option<&Arc<Pool>>,
    helpers: usize,
    is_light: bool,
    items: impl ExactSizeIterator<Item = I> + Send,
    work: impl Fn(I) + Sync,
) {
    let _light = pool.filter(|_| is_light).map(|pool| LightCall(pool));
    let helpers = match pool {
        Some(pool) if is_light => pool.helpers_of_light(helpers),
        _ => helpers,
    };
    let Some(pool) = pool.filter(|_| helpers > 0) else {
        let _arrival = Arrival::new();
        return items.for_each(work);
    };
    let queue = Mutex::new(items);
    let workspace = memory::current();
    let run = || {
        let _arrival = Arrival::new();
        loop {
            // Bound to a name, so that the lock is released before the work.
            let next = lock(&queue).next();
            match next {
                Some(item) => work(item),
                None => break,
            }
        }
    };
    with_helpers(pool, helpers, &run, &|| {
        let _workspace = memory::enter(workspace.clone());
        run();
    });
}

/// A light call, which tells when it ends.
struct LightCall<'a>(&'a Pool);

impl Drop for LightCall<'_> {
    fn drop(&mut self) {
        self.0.last_light.store(self.0.now(), Ordering::Relaxed);
    }
}

/// How often a thread looks for what it waits for, before it goes to sleep: for 28 µs on Zen 4. To be woken takes 10 to 20, and to go to
/// sleep some more.
const SPINS: usize = 1 << 10;

/// Nanoseconds from the end of a light call to the beginning of the next, where they follow closely on each other: about as long as a
/// thread spins.
const CLOSE: u64 = 28_000;

/// Looks so often whether something holds, and how often it might have looked yet; 0 where it does not hold.
fn spin_until(spins: usize, mut holds: impl FnMut() -> bool) -> usize {
    for left in (1..=spins).rev() {
        if holds() {
            return left;
        }
        spin_loop();
    }
    0
}

/// Runs `own` here, while so many of a pool's threads run `helper`, those of them that begin before `own` has ended; panics as one
/// of them does.
fn with_helpers(pool: &Arc<Pool>, helpers: usize, own: &impl Fn(), helper: &(dyn Fn() + Sync)) {
    let help = Arc::new(Help::new(helper));
    // Ends the help, and waits for whoever is inside, after a panic, too.
    let end = End(pool, &help);
    pool.ask(helpers, &help);
    own();
    drop(end);
    let panic = lock(&help.state).panics.pop();
    if let Some(panic) = panic {
        resume_unwind(panic);
    }
}

/// A call's work, for whoever comes while the call goes on.
struct Help {
    helper: Erased,
    state: Mutex<State>,
    /// How many are inside, to be looked at without a lock.
    inside: AtomicUsize,
    /// The last has left.
    left: Condvar,
}

#[derive(Default)]
struct State {
    /// Nobody begins any more.
    ended: bool,
    panics: Vec<Box<dyn Any + Send>>,
}

impl Help {
    fn new(helper: &(dyn Fn() + Sync)) -> Self {
        let (helper, state) = (Erased::new(helper), Mutex::default());
        Self { helper, state, inside: AtomicUsize::new(0), left: Condvar::new() }
    }

    /// Does the work, unless the call has ended.
    #[allow(unsafe_code)]
    fn give(&self) {
        {
            let state = lock(&self.state);
            if state.ended {
                return;
            }
            self.inside.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: the call had not ended under the lock under which this one was counted, and does not return, nor unwind, before
        // it is counted out again, below. So what the work is borrowed from is there.
        let done = catch_unwind(AssertUnwindSafe(|| unsafe { (*self.helper.0)() }));
        let mut state = lock(&self.state);
        if let Err(panic) = done {
            state.panics.push(panic);
        }
        if self.inside.fetch_sub(1, Ordering::Release) == 1 {
            drop(state);
            self.left.notify_one();
        }
    }
}

/// Ends a call's help when it is dropped.
struct End<'a>(&'a Pool, &'a Arc<Help>);

impl Drop for End<'_> {
    fn drop(&mut self) {
        let Self(pool, help) = self;
        pool.forget(help);
        lock(&help.state).ended = true;
        spin_until(SPINS, || help.inside.load(Ordering::Acquire) == 0);
        let mut state = lock(&help.state);
        while help.inside.load(Ordering::Acquire) > 0 {
            state = help.left.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A closure that may be gone.
struct Erased(*const (dyn Fn() + Sync));

// SAFETY: several threads may call the closure at once, as it is `Sync`; only [`Help::give`] does.
#[allow(unsafe_code)]
unsafe impl Send for Erased {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl Sync for Erased {}

impl Erased {
    #[allow(unsafe_code)]
    fn new<'a>(closure: &'a (dyn Fn() + Sync + 'a)) -> Self {
        // SAFETY: the two types differ in a lifetime alone, which a pointer promises nothing about.
        Self(unsafe {
            std::mem::transmute::<*const (dyn Fn() + Sync + 'a), *const (dyn Fn() + Sync + 'static)>(closure)
        })
    }
}

#[cfg(test)]
mod tests;
