package identity

import (
	"net/http"
	"slices"
)

// catalog says where the two services are: both here.
func (s *Service) catalog(r *http.Request) []object {
	service := func(typ, name, url string) object {
		var endpoints []object
		for _, face := range []string{"admin", "internal", "public"} {
			endpoints = append(endpoints, object{
				"id": name + "-" + face, "interface": face, "region_id": s.region, "region": s.region, "url": url,
			})
		}
		return object{"id": name, "type": typ, "name": name, "endpoints": endpoints}
	}
	return []object{
		service("identity", "keystone", base(r)+"/v3"),
		service("network", "neutron", base(r)),
	}
}

func (s *Service) showCatalog(w http.ResponseWriter, r *http.Request) {
	if s.asker(w, r) != nil {
		answer(w, http.StatusOK, object{"catalog": s.catalog(r), "links": object{"self": base(r) + "/v3/auth/catalog"}})
	}
}

func (s *Service) showProject(w http.ResponseWriter, r *http.Request) {
	t, name := s.asker(w, r), r.PathValue("name")
	switch {
	case t == nil:
	case !slices.Contains(s.projects, name) || !t.user.sees(name):
		notFound(w, "project", name)
	default:
		answer(w, http.StatusOK, object{"project": describeProject(name, r)})
	}
}

func (s *Service) listProjects(w http.ResponseWriter, r *http.Request) {
	if t := s.asker(w, r); t != nil {
		wanted := r.URL.Query().Get("name")
		answerProjects(w, r, slices.DeleteFunc(slices.Clone(s.projects), func(name string) bool {
			return !t.user.sees(name) || wanted != "" && wanted != name
		}))
	}
}

func (s *Service) ownProjects(w http.ResponseWriter, r *http.Request) {
	if t := s.asker(w, r); t != nil {
		answerProjects(w, r, t.user.Projects)
	}
}

func (s *Service) projectsOf(w http.ResponseWriter, r *http.Request) {
	if u := s.asked(w, r); u != nil {
		answerProjects(w, r, u.Projects)
	}
}

func describeProject(name string, r *http.Request) object {
	return object{
		"id": name, "name": name, "domain_id": home.ID, "parent_id": home.ID, "enabled": true, "is_domain": false,
		"description": "", "options": object{}, "tags": []string{}, "links": object{"self": base(r) + "/v3/projects/" + name},
	}
}

func answerProjects(w http.ResponseWriter, r *http.Request, names []string) {
	all := []object{}
	for _, name := range names {
		all = append(all, describeProject(name, r))
	}
	answerList(w, r, "projects", all)
}

func answerList(w http.ResponseWriter, r *http.Request, what string, all []object) {
	answer(w, http.StatusOK, object{what: all, "links": object{"self": base(r) + r.URL.Path, "next": nil, "previous": nil}})
}

// asked returns the user that a request's path names, who must be the asker
// unless an administrator asks; nil: it was refused.
func (s *Service) asked(w http.ResponseWriter, r *http.Request) *User {
	t, name := s.asker(w, r), r.PathValue("name")
	if t == nil {
		return nil
	}
	u := s.user(name)
	if u == nil || u != t.user && t.user.Role != Admin {
		notFound(w, "user", name)
		return nil
	}
	return u
}

func (s *Service) showUser(w http.ResponseWriter, r *http.Request) {
	if u := s.asked(w, r); u != nil {
		answer(w, http.StatusOK, object{"user": describeUser(u, r)})
	}
}

func (s *Service) listUsers(w http.ResponseWriter, r *http.Request) {
	t := s.asker(w, r)
	if t == nil {
		return
	}
	wanted := r.URL.Query().Get("name")
	all := []object{}
	for i := range s.users {
		if u := &s.users[i]; (u == t.user || t.user.Role == Admin) && (wanted == "" || wanted == u.Name) {
			all = append(all, describeUser(u, r))
		}
	}
	answerList(w, r, "users", all)
}

func describeUser(u *User, r *http.Request) object {
	return object{
		"id": u.Name, "name": u.Name, "domain_id": home.ID, "enabled": true, "password_expires_at": nil,
		"options": object{}, "links": object{"self": base(r) + "/v3/users/" + u.Name},
	}
}
