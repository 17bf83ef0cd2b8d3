//! Interfaces whose packets nobody here can take apart.

use crate::common::{stderr, stdout};
use crate::lab::Lab;

/// Makes an interface `odd0` of another link type (`TUNSETIFF`, `TUNSETLINK` of `linux/if_tun.h`), then runs the command.
const WITH_ODD_INTERFACE: &str = "
import fcntl, os, struct, subprocess, sys
tun = os.open('/dev/net/tun', os.O_RDWR)
fcntl.ioctl(tun, 0x400454CA, struct.pack('16sH', b'odd0', 0x1001))
fcntl.ioctl(tun, 0x400454CD, 280)
subprocess.run(['ip', 'link', 'set', 'odd0', 'up'], check=True)
sys.exit(subprocess.run(sys.argv[1:]).returncode)
";

#[test]
fn an_interface_of_a_link_type_that_is_not_read_is_refused_by_name() {
    let Some(lab) = Lab::pair() else { return };
    let with = ["python3", "-c", WITH_ODD_INTERFACE, lab.program()];
    for arguments in [
        &["sniff", "-i", "odd0"][..],
        &["-i", "eth0", "-i", "odd0", "--duration", "1s"],
    ] {
        let output = lab.output("c", &[&with, arguments].concat());
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stdout.is_empty());
        let said = stderr(&output);
        assert!(
            said.starts_with("dnsterrier: interface 'odd0': its link type CAN_SOCKETCAN (227) is not read; choose "),
            "{said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    let listed = stdout(&lab.output("c", &[&with[..], &["interfaces"]].concat()));
    assert!(
        listed
            .lines()
            .any(|line| line.starts_with("odd0 ")
                && line.contains("CAN_SOCKETCAN (227) is not read")),
        "{listed}"
    );
}
