//! How a redrive goes on: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::views::{Task, records};
use crate::talk::say;

/// Between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

pub(super) enum Progress {
    Bar(ProgressBar),
    Lines { next: Instant },
    Silent,
}

impl Progress {
    pub fn new(task: &Task, silent: bool) -> Progress {
        if silent {
            return Progress::Silent;
        }
        if !std::io::stderr().is_terminal() {
            say!(
                "Redrive {} runs; Ctrl-C ends this command and not the redrive.",
                task.id
            );
            return Progress::Lines {
                next: Instant::now() + LINE_EVERY,
            };
        }
        let bar = ProgressBar::new(task.to_look_at);
        let style = ProgressStyle::with_template("{bar:30} {percent:>3}%  {msg}  {elapsed}");
        // A template that cannot be read is one of ours; the default serves, too.
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Progress::Bar(bar)
    }

    pub fn show(&mut self, task: &Task) {
        match self {
            Progress::Bar(bar) => {
                bar.set_length(task.to_look_at);
                bar.set_position(task.looked_at);
                bar.set_message(words(task));
            }
            Progress::Lines { next } if Instant::now() >= *next => {
                *next = Instant::now() + LINE_EVERY;
                say!("Redrive {}: {}.", task.id, words(task));
            }
            Progress::Lines { .. } | Progress::Silent => {}
        }
    }

    /// Before something else is said.
    pub fn end(&self) {
        if let Progress::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn words(task: &Task) -> String {
    let mut words = format!("{} moved", records(task.moved));
    if task.state != "running" {
        words = format!("{words}, {}", task.state);
    }
    if let Some(waiting) = &task.waiting {
        words = format!("{words}, waits: {waiting}");
    }
    words
}
