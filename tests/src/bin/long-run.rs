//! A mixed load with churn for an hour, and whether the broker stays as it was. See docs/LONG_RUN.md.
//!   long-run [--minutes N] [--output DIR] [--load SHARE] [--restart-every SECONDS] [--leak connections]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use ottla_tests::long_run::{Plan, run};

fn plan() -> Result<Plan, String> {
    let (mut minutes, mut load, mut every, mut leak) = (60.0, 1.0, None, false);
    let mut output = PathBuf::from("target/long-run");
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let value = given.next().ok_or(format!("{name} needs a value"))?;
        let number = || match value.parse::<f64>() {
            Ok(number) if number > 0.0 => Ok(number),
            _ => Err(format!("{name} {value}: not a number above 0")),
        };
        match name.as_str() {
            "--minutes" => minutes = number()?,
            "--load" => load = number()?,
            "--restart-every" => every = Some(Duration::from_secs_f64(number()?)),
            "--output" => output = value.into(),
            "--leak" if value == "connections" => leak = true,
            "--leak" => return Err(format!("--leak {value}: only connections can be leaked")),
            _ => {
                return Err(format!(
                    "{name}: no such option (--minutes, --output, --load, --restart-every, --leak)"
                ));
            }
        }
    }
    let usual = Plan::of(minutes, output);
    Ok(Plan {
        load,
        leak,
        restart_every: every.unwrap_or(usual.restart_every),
        ..usual
    })
}

fn main() -> ExitCode {
    let plan = match plan() {
        Ok(plan) => plan,
        Err(reason) => {
            eprintln!("error: {reason}");
            return ExitCode::from(2);
        }
    };
    match run(&plan) {
        Ok(report) => {
            print!("{report}");
            println!("Written to {}", plan.output.display());
            if report.is_good() {
                println!("acknowledged and lost: 0; twice: 0; nothing grows");
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
