package faults

import (
	"net/http"
	"time"
)

// field reads the value of a rule's key.
func (p *parser) field(r *Rule, key string) error {
	at := p.dec.InputOffset()
	wrong := ""
	var err error
	switch key {
	case "method":
		err = p.value(key, &r.Method, "a string")
		if !isMethod(r.Method) {
			wrong = "must be one of GET, HEAD, POST, PUT, PATCH, DELETE"
		}
	case "path":
		err = p.value(key, &r.Path, "a string")
		wrong = checkPath(r.Path)
	case "skip":
		err = p.value(key, &r.Skip, "a whole number")
		if r.Skip < 0 {
			wrong = "must be 0 or more"
		}
	case "count":
		err = p.value(key, &r.Count, "a whole number")
		if r.Count < 1 {
			wrong = "must be 1 or more"
		}
	case "probability":
		err = p.value(key, &r.Probability, "a number")
		if r.Probability <= 0 || r.Probability > 1 {
			wrong = "must be more than 0, and 1 at most"
		}
	case "delay":
		return p.delay(r)
	default:
		return p.answerField(r, key)
	}
	if err == nil && wrong != "" {
		err = p.errorAt(at, "%q %s", key, wrong)
	}
	return err
}

// answerField reads a key that says what is answered.
func (p *parser) answerField(r *Rule, key string) error {
	at := p.dec.InputOffset()
	wrong := ""
	var err error
	switch key {
	case "do":
		err = p.value(key, &r.Do, "a string")
		switch r.Do {
		case Pass, Answer, Lose, Break:
		default:
			wrong = "must be one of pass, answer, lose, break"
		}
	case "status":
		err = p.value(key, &r.Status, "a whole number")
		if r.Status < 400 || r.Status > 599 {
			wrong = "must be an error's, 400 to 599"
		}
	case "type":
		err = p.value(key, &r.Type, "a string")
	case "message":
		err = p.value(key, &r.Message, "a string")
	case "retry_after":
		seconds := 0
		err = p.value(key, &seconds, "a whole number of seconds")
		if seconds < 1 || seconds > int(maxDelay/time.Second) {
			wrong = "must be 1 to 3600 seconds"
		}
		r.RetryAfter = time.Duration(seconds) * time.Second
	default:
		return p.errorAt(at, "unknown key %q; known are method, path, skip, count, probability, delay, do, status, type, message, retry_after", key)
	}
	if err == nil && wrong != "" {
		err = p.errorAt(at, "%q %s", key, wrong)
	}
	return err
}

func (p *parser) delay(r *Rule) error {
	at := p.dec.InputOffset()
	var text string
	if err := p.value("delay", &text, `a string such as "250ms"`); err != nil {
		return err
	}
	var err error
	if r.Delay, err = time.ParseDuration(text); err != nil || r.Delay <= 0 || r.Delay > maxDelay {
		return p.errorAt(at, `"delay" must be a time up to 1h, such as "250ms" or "1.5s"`)
	}
	return nil
}

func isMethod(s string) bool {
	switch s {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
		return true
	}
	return false
}
