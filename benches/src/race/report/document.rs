//! The contract's document, in JSON.

use super::{Cell, Part, Report};
use crate::race::memory::Peaks;
use crate::race::timing::Outcome;
use serde_json::{Map, Value as Json, json};

/// A number to so many digits that count.
fn rounded(number: f64, digits: i32) -> f64 {
    if number == 0.0 || !number.is_finite() {
        return number;
    }
    let scale = 10_f64.powi(digits - 1 - number.abs().log10().floor() as i32);
    (number * scale).round() / scale
}

impl Cell {
    fn json(&self) -> Json {
        let Outcome { ours_seconds, peer_seconds, into_seconds, ratio, rounds, .. } = &self.outcome;
        let mut cell = json!({
            "name": self.name,
            "layer": self.layer,
            "direction": self.direction.name(),
            "threads": self.threads,
            "ours_ms": rounded(1e3 * ours_seconds, 4),
            "peer_ms": rounded(1e3 * peer_seconds, 4),
            "ratio": rounded(ratio.median, 4),
            "low": rounded(ratio.low, 4),
            "high": rounded(ratio.high, 4),
            "share_of_limit": rounded(self.share_of_limit, 3),
            "dtype": self.dtype,
            "peer": self.peer,
            "rounds": rounds,
            "known": ratio.known,
        });
        if let Some(Peaks { ours, peer }) = self.peaks {
            cell["ours_peak_mb"] = json!(rounded(ours, 4));
            cell["peer_peak_mb"] = json!(rounded(peer, 4));
        }
        if let Some(seconds) = into_seconds {
            cell["ours_into_ms"] = json!(rounded(1e3 * seconds, 4));
        }
        cell
    }
}

impl Report {
    /// The contract's document, and what it has beside: optional keys.
    pub(in crate::race) fn json(&self) -> Json {
        let limits: Map<String, Json> =
            self.limits.iter().map(|limits| (limits.threads.to_string(), limits.json())).collect();
        json!({
            "machine": self.machine,
            "versions": self.versions,
            "limits": limits,
            "cells": self.cells.iter().map(Cell::json).collect::<Vec<_>>(),
            "geometric_mean": self.means(Part::All),
            "geometric_mean_of": {
                "all_but_convolution_and_recurrence": self.means(Part::AllBut),
                "convolution_and_recurrence": self.means(Part::ConvolutionAndRecurrence),
            },
            "arguments": self.arguments,
            "failures": self.failures,
            "not_there": self.not_there,
        })
    }

    /// The geometric means of a part of the cells, by the number of threads.
    fn means(&self, part: Part) -> Map<String, Json> {
        let of_threads = |threads: usize| {
            let mean = self.mean(|cell| cell.threads == threads && part.holds(cell));
            (threads.to_string(), mean.map_or(Json::Null, |mean| json!(rounded(mean, 4))))
        };
        self.threads().map(of_threads).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::report;
    use super::*;

    #[test]
    fn the_document_is_the_contracts() {
        let document = report().json();
        for key in ["machine", "versions", "limits", "cells", "geometric_mean"] {
            assert!(document.get(key).is_some(), "{key}");
        }
        assert_eq!(document["geometric_mean"], json!({"1": 2.0}));
        let cell = &document["cells"][0];
        let contracted =
            ["name", "layer", "direction", "threads", "ours_ms", "peer_ms", "ratio", "low", "high", "share_of_limit"];
        for key in contracted {
            assert!(cell.get(key).is_some(), "{key}");
        }
        assert_eq!(
            (&cell["ratio"], &cell["ours_ms"], &cell["direction"]),
            (&json!(2.0), &json!(1.0), &json!("forward"))
        );
        assert_eq!(document["limits"]["1"]["copy_gbytes_per_second"]["1048576"], 90.0);
    }

    #[test]
    fn what_the_contract_has_not_stands_beside() {
        let document = report().json();
        assert_eq!(document["cells"][0]["ours_into_ms"], 0.5);
        assert_eq!(document["cells"][0]["dtype"], "f32");
        assert!(document["cells"][0].get("ours_peak_mb").is_none());
        let mut report = report();
        report.cells[0].peaks = Some(Peaks { ours: 4.25, peer: 8.5 });
        let cell = &report.json()["cells"][0];
        assert_eq!((&cell["ours_peak_mb"], &cell["peer_peak_mb"]), (&json!(4.25), &json!(8.5)));
        let of = &document["geometric_mean_of"];
        assert_eq!(of["all_but_convolution_and_recurrence"], json!({"1": 4.0}));
        assert_eq!(of["convolution_and_recurrence"], json!({"1": 0.5}));
    }

    #[test]
    fn numbers_are_rounded_to_what_counts() {
        assert_eq!((rounded(0.0123456, 3), rounded(123_456.0, 3), rounded(0.0, 3)), (0.0123, 123_000.0, 0.0));
    }
}
