package rule
import ("testing";"os";"fmt";"encoding/json";"github.com/tocsin/tocsin/internal/plan")
func TestDemo(t *testing.T){
 r:=Check([]string{os.Getenv("F")},plan.NewCompiler(plan.Options{}))
 b,_:=json.MarshalIndent(r,""," "); fmt.Println(string(b))
 for _,f:=range r.Files{for _,e:=range f.Errors{fmt.Println(e)}}
}
