//! The encapsulations by name.

use crate::stats::Tunnels;

macro_rules! tunnels {
    ($($(#[$doc:meta])* $kind:ident $name:literal $counter:ident),+ $(,)?) => {
        /// An encapsulation that can be taken off.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the names in the events say it")]
        pub enum Tunnel { $($(#[$doc])* $kind),+ }

        impl Tunnel {
            /// The name that events give.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name),+ }
            }

            /// The encapsulation of that name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                [$(Self::$kind),+].into_iter().find(|tunnel| tunnel.name() == name)
            }

            /// Counts it.
            pub(super) const fn count(self, tunnels: &mut Tunnels) {
                match self { $(Self::$kind => tunnels.$counter += 1),+ }
            }
        }
    };
}

tunnels! {
    Gre "gre" gre,
    Nvgre "nvgre" nvgre,
    Erspan1 "erspan1" erspan1,
    Erspan2 "erspan2" erspan2,
    Erspan3 "erspan3" erspan3,
    Vxlan "vxlan" vxlan,
    VxlanGpe "vxlan-gpe" vxlan_gpe,
    Geneve "geneve" geneve,
    Nsh "nsh" nsh,
    /// IPv4 in IPv4.
    IpIp "ipip" ipip,
    /// IPv6 in IPv4.
    Ip6In4 "ip6in4" ip6in4,
    /// IPv4 in IPv6.
    Ip4In6 "ip4in6" ip4in6,
    /// IPv6 in IPv6.
    Ip6In6 "ip6in6" ip6in6,
    EtherIp "etherip" etherip,
    Mpls "mpls" mpls,
    /// Ethernet over MPLS.
    Pseudowire "pseudowire" pseudowire,
    Pppoe "pppoe" pppoe,
    Ppp "ppp" ppp,
    L2tp2 "l2tpv2" l2tpv2,
    L2tp3 "l2tpv3" l2tpv3,
    GtpU "gtp-u" gtp_u,
    Teredo "teredo" teredo,
    Tzsp "tzsp" tzsp,
    /// 802.1ah.
    Pbb "pbb" pbb,
    /// 802.1BR.
    ETag "etag" etag,
    VnTag "vntag" vntag,
    /// 802.1AE with the payload in clear.
    MacSec "macsec" macsec,
    /// No packet at all: a server said what it took and sent.
    Dnstap "dnstap" dnstap,
    Dot "dot" dot,
    Doh "doh" doh,
    Doq "doq" doq,
    Dnscrypt "dnscrypt" dnscrypt,
}

impl Tunnel {
    /// Whether it carries copies to a collector, so that its ends are not those of a network.
    pub(super) const fn is_mirror(self) -> bool {
        matches!(
            self,
            Self::Erspan1 | Self::Erspan2 | Self::Erspan3 | Self::Tzsp
        )
    }
}
