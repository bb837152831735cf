//! What random cases came to.

use crate::comparison::median;
use crate::replay::{Conclusion, Verdict};

/// Counts over the verdicts that were no failures.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tally {
    /// Cases that were drawn.
    pub cases: u64,
    /// Runs of them: one for each variant.
    pub runs: u64,
    /// Runs whose bounds say too little.
    pub mistrusted: u64,
    /// Elements that were compared.
    pub elements: u64,
    /// Those whose bound is 0, or that are an infinity or NaN.
    pub exact: u64,
    /// Those that have a likely bound of their own, and those beyond it.
    pub probabilistic: u64,
    /// Those beyond their likely bound, though within the bound.
    pub unlikely: u64,
    /// Elements that nothing is known of.
    pub unknown: u64,
    /// The largest err/bound.
    pub slack: f64,
    /// Of each run, the smallest error of a single term that is certain to be seen, as a share of the mean term.
    pub detectable: Vec<f64>,
}

impl Tally {
    /// Counts a verdict in.
    pub fn add(&mut self, verdict: &Verdict) {
        self.runs += 1;
        self.mistrusted += u64::from(matches!(verdict.conclusion, Conclusion::Mistrusted(_)));
        for judgement in &verdict.judgements {
            self.elements += judgement.compared as u64;
            self.exact += judgement.exact as u64;
            self.probabilistic += judgement.probabilistic as u64;
            self.unlikely += judgement.unlikely as u64;
            self.unknown += judgement.unknown as u64;
            self.slack = self.slack.max(judgement.slack);
        }
        self.detectable.extend(verdict.detectable());
    }

    /// The median run's smallest detectable error; 0 where nothing was run.
    pub fn median_detectable(&self) -> f64 {
        median(self.detectable.clone())
    }

    /// Counts another tally in.
    pub fn join(&mut self, other: Self) {
        let Self { cases, runs, mistrusted, elements, exact, probabilistic, unlikely, unknown, slack, detectable } =
            other;
        self.cases += cases;
        self.runs += runs;
        self.mistrusted += mistrusted;
        self.elements += elements;
        self.exact += exact;
        self.probabilistic += probabilistic;
        self.unlikely += unlikely;
        self.unknown += unknown;
        self.slack = self.slack.max(slack);
        self.detectable.extend(detectable);
    }
}
