package probe

// Fault names why a stage failed, for those who decide on it.
type Fault string

// The faults, by stage.
const (
	FaultNoCard    Fault = "no-card"
	FaultOff       Fault = "card-off"
	FaultNoCarrier Fault = "no-carrier"
	FaultFlapping  Fault = "flapping"

	FaultNoRadio   Fault = "no-radio"
	FaultNoNetwork Fault = "network-not-found"
	FaultWrongKey  Fault = "wrong-key"
	FaultLogin     Fault = "wifi-login"
	FaultNotJoined Fault = "not-joined"

	FaultNoAddress  Fault = "no-address"
	FaultDHCPSilent Fault = "dhcp-silent"
	FaultDHCPNone   Fault = "dhcp-no-lease"
	FaultDHCPTwo    Fault = "dhcp-contradicts"
	FaultDuplicate  Fault = "address-taken"

	FaultNoGateway      Fault = "no-gateway"
	FaultGatewaySilent  Fault = "gateway-silent"
	FaultGatewayForward Fault = "gateway-does-not-forward"

	FaultNoDNS      Fault = "no-name-server"
	FaultDNSSilent  Fault = "dns-silent"
	FaultDNSRefuses Fault = "dns-refuses"
	FaultDNSLies    Fault = "dns-lies"
	FaultDNSUnknown Fault = "name-unknown"

	FaultPortal Fault = "captive-portal"

	FaultTimeSilent Fault = "time-server-silent"
	FaultClockOff   Fault = "clock-off"

	FaultProxyUnreachable Fault = "proxy-unreachable"
	FaultProxyLogin       Fault = "proxy-login"
	FaultProxyRefuses     Fault = "proxy-refuses"
	FaultProxyTLS         Fault = "proxy-certificate"

	FaultBlackHole Fault = "mtu-black-hole"

	FaultNoTunnel       Fault = "vpn-missing"
	FaultTunnelEndpoint Fault = "vpn-endpoint"
	FaultTunnelSilent   Fault = "vpn-silent"

	FaultUnreachable     Fault = "service-unreachable"
	FaultServiceRefuses  Fault = "service-refuses"
	FaultServiceError    Fault = "service-error"
	FaultCertExpired     Fault = "certificate-expired"
	FaultCertNotYet      Fault = "certificate-not-yet-valid"
	FaultCertUnknown     Fault = "certificate-unknown-authority"
	FaultCertOtherName   Fault = "certificate-other-name"
	FaultServiceNoAnswer Fault = "service-silent"
)

// Remote reports whether the far side is at fault: a server that refuses, answers
// with an error or shows an expired certificate has been reached, so the connection
// to it is good, and another configuration would not be better.
func (f Fault) Remote() bool {
	switch f {
	case FaultServiceRefuses, FaultServiceError, FaultCertExpired, FaultServiceNoAnswer, FaultTimeSilent, FaultTunnelSilent:
		return true
	}
	return false
}

// Silence reports whether nobody answered, so that nobody knows which side is at
// fault.
func (f Fault) Silence() bool {
	return f == FaultTimeSilent || f == FaultTunnelSilent || f == FaultServiceNoAnswer
}

// answered reports whether the fault is an answer: whatever it says, somebody far
// away has said it.
func (f Fault) answered() bool {
	switch f {
	case FaultDNSLies, FaultDNSRefuses, FaultDNSUnknown, FaultClockOff, FaultProxyLogin, FaultProxyRefuses, FaultProxyTLS,
		FaultServiceRefuses, FaultServiceError, FaultCertExpired, FaultCertNotYet, FaultCertUnknown, FaultCertOtherName, FaultServiceNoAnswer:
		return true
	}
	return false
}

// remedies says once for each fault what a person does about it.
var remedies = map[Fault]string{
	FaultNoCard:    "check that the card is fitted, or correct the link's match",
	FaultOff:       "the card is switched off by software: apply the network configuration again, or restart the box",
	FaultNoCarrier: "plug the cable in at both ends, try another cable and another port of the switch",
	FaultFlapping:  "replace the cable, then try another port of the switch; a loose plug or a failing switch does this",

	FaultNoRadio:   "check that the radio is fitted and not switched off (rfkill)",
	FaultNoNetwork: "check the name of the network letter by letter, move the box or its antenna, and check the country code; for a network that hides its name set hidden",
	FaultWrongKey:  "correct the key of the WiFi network",
	FaultLogin:     "check user name, password and certificate authority with those who run the WiFi network",
	FaultNotJoined: "look at the access point: it may be full, restrict addresses, or want another kind of protection",

	FaultNoAddress:  "apply the network configuration again; if it stays, restart the box",
	FaultDHCPSilent: "ask the site for an address and set it fixed, or have its DHCP server looked at; check the VLAN of the switch's port",
	FaultDHCPNone:   "the server offers an address but gives none: it may have run out of them, or restrict them to known cards",
	FaultDHCPTwo:    "find the second DHCP server and switch it off: often a router that was plugged in the wrong way round",
	FaultDuplicate:  "give one of the two another address; which device it is shows its hardware address",

	FaultNoGateway:      "give the link a gateway, or have the DHCP server tell one",
	FaultGatewaySilent:  "check the gateway's address, that it is on, and that its cable and VLAN are the same as this box's",
	FaultGatewayForward: "this device answers but passes nothing on: check that it is the site's router, that its uplink is up, and that it lets this box out",

	FaultNoDNS:      "set dns of the link, or have the DHCP server tell name servers",
	FaultDNSSilent:  "set another name server, or have the site let port 53 (UDP and TCP) through",
	FaultDNSRefuses: "set another name server: this one does not serve this box",
	FaultDNSLies:    "this name server invents answers: log in to the site's portal if there is one, or set another name server",
	FaultDNSUnknown: "check the name, or have the name server that is used know it",

	FaultPortal: "a portal wants a person to log in: have the site let this box out by its hardware address",

	FaultTimeSilent: "set network.ntp to a time server that the site lets through (UDP port 123), often its own router",
	FaultClockOff:   "wait a minute for the time service and test again; if it stays, replace the battery of the box's clock",

	FaultProxyUnreachable: "check address and port of the proxy",
	FaultProxyLogin:       "correct the user name and password of the proxy",
	FaultProxyRefuses:     "have the proxy let this box reach that address",
	FaultProxyTLS:         "set network.proxy.ca to the certificate authority of the proxy",

	FaultBlackHole: "set the MTU of the link to the size that passes, or have the site let ICMP \"fragmentation needed\" through",

	FaultNoTunnel:       "apply the network configuration again",
	FaultTunnelEndpoint: "check the endpoint of the peer, and its name at the name server",
	FaultTunnelSilent:   "check that the other end knows this box's public key, that its clock and this one are right, and that UDP to its port is let through",

	FaultUnreachable:     "check the address, and that the site lets this box reach it",
	FaultServiceRefuses:  "the machine is reached and nothing listens there: have those who run it look",
	FaultServiceError:    "those who run the service must look: it answers with an error",
	FaultServiceNoAnswer: "the machine takes the connection and says nothing: have those who run it look",
	FaultCertExpired:     "those who run the service must renew its certificate",
	FaultCertNotYet:      "this box's clock is behind: see the stage clock",
	FaultCertUnknown:     "something on the way shows a certificate of its own: set its certificate authority (network.proxy.ca), or the right pin of the service",
	FaultCertOtherName:   "the machine that answers is another one: check the name and what the name server says",
}
