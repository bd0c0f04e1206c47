package sim

import (
	"crypto/subtle"
	"crypto/tls"
	"encoding/base64"
	"io"
	"net"
	"net/textproto"
	"strings"
	"time"
)

// smtpSession is one connection to an SMTP.
type smtpSession struct {
	server *SMTP
	conn   net.Conn
	text   *textproto.Conn
	secure bool
	user   string
	mail   Mail
	open   bool // MAIL was given.
}

func newSMTPSession(s *SMTP, conn net.Conn) *smtpSession {
	return &smtpSession{server: s, conn: conn, text: textproto.NewConn(conn)}
}

func (c *smtpSession) reply(lines ...string) bool {
	for _, l := range lines {
		if err := c.text.PrintfLine("%s", l); err != nil {
			return false
		}
	}
	return true
}

// run serves the connection until the client quits or is gone.
func (c *smtpSession) run() {
	ok := c.reply("220 localhost ESMTP")
	for ok {
		line, err := c.text.ReadLine()
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(line, " ")
		ok = c.command(strings.ToUpper(verb), rest)
	}
}

// command answers one command; false ends the session.
func (c *smtpSession) command(verb, rest string) bool {
	switch verb {
	case "EHLO", "HELO":
		c.reset()
		return c.hello(verb)
	case "STARTTLS":
		return c.startTLS()
	case "AUTH":
		return c.auth(rest)
	case "MAIL":
		return c.from(rest)
	case "RCPT":
		return c.to(rest)
	case "DATA":
		return c.data()
	case "RSET":
		c.reset()
		return c.reply("250 2.0.0 ok")
	case "NOOP":
		return c.reply("250 2.0.0 ok")
	case "QUIT":
		c.reply("221 2.0.0 bye")
		return false
	}
	return c.reply("502 5.5.2 unknown command")
}

func (c *smtpSession) reset() { c.mail, c.open = Mail{}, false }

func (c *smtpSession) hello(verb string) bool {
	if verb == "HELO" {
		return c.reply("250 localhost")
	}
	lines := []string{"250-localhost", "250-8BITMIME"}
	if !c.secure && !c.server.options.NoTLS {
		lines = append(lines, "250-STARTTLS")
	}
	if c.server.options.Username != "" && (c.secure || !c.server.options.RequireTLS) {
		lines = append(lines, "250-AUTH PLAIN LOGIN")
	}
	return c.reply(append(lines, "250 ENHANCEDSTATUSCODES")...)
}

func (c *smtpSession) startTLS() bool {
	if c.secure || c.server.options.NoTLS {
		return c.reply("502 5.5.1 not now")
	}
	if !c.reply("220 2.0.0 go ahead") {
		return false
	}
	conn := tls.Server(c.conn, c.server.tls)
	if err := conn.Handshake(); err != nil {
		return false
	}
	// What was said in the clear does not count any more (RFC 3207, section 4.2).
	c.conn, c.text, c.secure, c.user = conn, textproto.NewConn(conn), true, ""
	c.reset()
	return true
}

// auth answers AUTH PLAIN (RFC 4616) and AUTH LOGIN, with or without an initial response.
func (c *smtpSession) auth(rest string) bool {
	if c.server.options.RequireTLS && !c.secure {
		return c.reply("538 5.7.11 encryption required")
	}
	if c.server.options.Username == "" {
		return c.reply("503 5.5.1 nobody need log in here")
	}
	mechanism, initial, _ := strings.Cut(rest, " ")
	var user, password string
	switch strings.ToUpper(mechanism) {
	case "PLAIN":
		token, ok := c.answer(initial, "")
		parts := strings.Split(token, "\x00")
		if !ok || len(parts) != 3 {
			return c.reply("501 5.5.2 malformed credentials")
		}
		user, password = parts[1], parts[2]
	case "LOGIN":
		var okUser, okPassword bool
		user, okUser = c.answer(initial, "Username:")
		password, okPassword = c.answer("", "Password:")
		if !okUser || !okPassword {
			return c.reply("501 5.5.2 malformed credentials")
		}
	default:
		return c.reply("504 5.5.4 unknown mechanism")
	}
	o := c.server.options
	if user != o.Username || subtle.ConstantTimeCompare([]byte(password), []byte(o.Password)) == 0 {
		return c.reply("535 5.7.8 wrong credentials")
	}
	c.user = user
	return c.reply("235 2.7.0 welcome")
}

// answer decodes the client's initial response or, where there is none, what it answers to prompt.
func (c *smtpSession) answer(initial, prompt string) (string, bool) {
	if initial == "" {
		if !c.reply("334 " + base64.StdEncoding.EncodeToString([]byte(prompt))) {
			return "", false
		}
		line, err := c.text.ReadLine()
		if err != nil {
			return "", false
		}
		initial = line
	}
	b, err := base64.StdEncoding.DecodeString(initial)
	return string(b), err == nil
}

func (c *smtpSession) from(rest string) bool {
	switch {
	case c.server.options.RequireTLS && !c.secure:
		return c.reply("530 5.7.0 issue STARTTLS first")
	case c.server.options.Username != "" && c.user == "":
		return c.reply("530 5.7.0 authentication required")
	}
	address, ok := path(rest, "FROM:")
	if !ok {
		return c.reply("501 5.5.4 malformed address")
	}
	c.reset()
	c.mail.From, c.open = address, true
	return c.reply("250 2.1.0 ok")
}

func (c *smtpSession) to(rest string) bool {
	if !c.open {
		return c.reply("503 5.5.1 MAIL first")
	}
	address, ok := path(rest, "TO:")
	if !ok {
		return c.reply("501 5.5.4 malformed address")
	}
	c.mail.To = append(c.mail.To, address)
	return c.reply("250 2.1.5 ok")
}

func (c *smtpSession) data() bool {
	if !c.open || len(c.mail.To) == 0 {
		return c.reply("503 5.5.1 MAIL and RCPT first")
	}
	if !c.reply("354 end with a dot") {
		return false
	}
	body, err := io.ReadAll(io.LimitReader(c.text.DotReader(), maxBody+1))
	if err != nil {
		return false
	}
	if len(body) > maxBody {
		c.reply("552 5.3.4 too big")
		return false
	}
	m := c.mail
	m.Received, m.Data, m.TLS, m.User = time.Now(), body, c.secure, c.user
	c.reset()
	reply, taken := c.server.verdict()
	if taken {
		c.server.mails.add(m)
	}
	return c.reply(reply)
}

// path returns the address of "FROM:<address> PARAMETERS".
func path(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return "", false
	}
	s = strings.TrimSpace(s[len(prefix):])
	end := strings.IndexByte(s, '>')
	if !strings.HasPrefix(s, "<") || end < 0 {
		return "", false
	}
	return s[1:end], true
}
