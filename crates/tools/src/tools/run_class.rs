//! `kafka-run-class`: a tool by the name of its Java class.

use crate::Tool;
use crate::stop::Stop;
use crate::talk::say;

pub(super) const TOOL: Tool = Tool {
    name: "run-class",
    classes: &[],
    run,
};

fn run(args: &[String]) -> Result<(), Stop> {
    let (class, args) = crate::class_and_args(args).ok_or_else(|| {
        say!("USAGE: kafka-run-class classname [opts]");
        Stop::Exit(1)
    })?;
    match crate::find_class(class) {
        Some(tool) => match tool.run(args) {
            0 => Ok(()),
            code => Err(Stop::Exit(code)),
        },
        None => Err(Stop::Failed(format!(
            "Error: Could not find or load main class {class}: there is no such tool here"
        ))),
    }
}
